"""How large the rings and chunks are, how many warps share a task, and the rules that keep the queues going."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dualpipe_ref.schedule.errors import InputError, require_int


@dataclass(frozen=True)
class Sizes:
    """Sizes of one phase. Rings and chunks are counted in messages.

    * `channels`: independent pipelines, each with its own range of tokens, rings and counters.
    * `senders`: warps that share a channel's tokens in dispatch; `window`: how far ahead of the first message that is
      not complete they may work.
    * `rdma_ring`, `rdma_chunk`: slots of a ring between two nodes; messages of one put, and of one credit.
    * `nvl_ring`, `nvl_chunk`: the same inside a node, in dispatch; `sub_ring`: the ring of one node in combine.
    * `large_warp`: warps that together reduce for one node in combine; `receivers`: warps that reduce over nodes.
    * `parts`: into how many pieces a message may be torn.

    >>> Sizes(rdma_ring=5, rdma_chunk=2)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a chunk is one piece of the RDMA ring, so its size divides the ring's; got rdma_ring = 5, rdma_chunk = 2; nearest legal: rdma_ring = 6
    """

    channels: int = 1
    senders: int = 2
    window: int = 32
    rdma_ring: int = 4
    rdma_chunk: int = 2
    nvl_ring: int = 4
    nvl_chunk: int = 2
    sub_ring: int = 4
    large_warp: int = 2
    receivers: int = 2
    parts: int = 2
    # For tests, which show what each rule is for.
    _breaks_rules: bool = False

    def __post_init__(self) -> None:
        for one in fields(self):
            if not one.name.startswith("_"):
                require_int(one.name, getattr(self, one.name), 1)
        if not self._breaks_rules:
            self._check_rdma()
            self._check_nvl()

    def _check_rdma(self) -> None:
        ring, chunk = self.rdma_ring, self.rdma_chunk
        got = f"rdma_ring = {ring}, rdma_chunk = {chunk}"
        if ring % chunk:
            nearest = (ring + chunk // 2) // chunk * chunk
            raise InputError(
                "a chunk is one piece of the RDMA ring, so its size divides the ring's",
                got,
                f"rdma_ring = {max(nearest, 2 * chunk)}",
            )
        if 2 * chunk > ring:
            raise InputError(
                "an RDMA ring has room for two chunks, or each waits for the credit of the one before",
                got,
                f"rdma_ring = {2 * chunk}",
            )
        if self.large_warp > chunk:
            raise InputError(
                "each of the warps that reduce together has a message of the chunk, or its place in the ring never moves",
                f"large_warp = {self.large_warp}, rdma_chunk = {chunk}",
                f"large_warp = {chunk}",
            )

    def _check_nvl(self) -> None:
        if self.nvl_ring < self.nvl_chunk:
            raise InputError(
                "an NVLink ring has room for a chunk",
                f"nvl_ring = {self.nvl_ring}, nvl_chunk = {self.nvl_chunk}",
                f"nvl_ring = {self.nvl_chunk}",
            )
        least = self.nvl_chunk + self.large_warp - 1
        if self.sub_ring < least:
            raise InputError(
                "a sub-ring has room for a chunk beside what waiting warps still hold, one message each but the first",
                f"sub_ring = {self.sub_ring}, nvl_chunk = {self.nvl_chunk}, large_warp = {self.large_warp}",
                f"sub_ring = {least}",
            )
