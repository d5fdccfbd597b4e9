"""What the buffers of an all-to-all hold in one GPU's memory, as queues or as a slot for everything. Standard library only.

Messages are those of `simulate.volumes`. Queues are laid out as in DeepEP's first version (csrc/kernels/legacy, commit
dd758ca), direct slots as its second one describes them: worst case, addresses computed, no credit.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.simulate.volumes import ExpertGrid


class Buffers(NamedTuple):
    """Bytes of one GPU that are registered for RDMA, and bytes that GPUs of its node write to over NVLink."""

    rdma: int
    nvlink: int

    @property
    def total(self) -> int:
        return self.rdma + self.nvlink


def queue_bytes(
    grid: ExpertGrid, channels: int, rdma_ring: int, nvl_ring: int, message: int
) -> Buffers:
    """Rings of slots with credit: the number of tokens has no part in it.

    Each channel has, for each node, a ring in which messages are staged and one in which they arrive (DeepEP stages for the
    own node too, though nothing goes through it), and a ring that each GPU of the node fills over NVLink.

    >>> queue_bytes(ExpertGrid(), channels=10, rdma_ring=128, nvl_ring=288, message=7472)
    Buffers(rdma=153026560, nvlink=172154880)
    """
    for name, value in (("channels", channels), ("rdma_ring", rdma_ring), ("nvl_ring", nvl_ring)):
        require_int(name, value, 1)
    return Buffers(
        channels * grid.nodes * 2 * rdma_ring * message,
        channels * grid.gpus_per_node * nvl_ring * message,
    )


def slot_bytes(grid: ExpertGrid, tokens: int, message: int) -> Buffers:
    """Direct slots of a dispatch: one for every message that could come, if all GPUs have `tokens` tokens.

    Over RDMA each token is sent from one place, and all tokens of the GPU at this place of every node may arrive. Over NVLink
    all tokens of all GPUs may.

    >>> slot_bytes(ExpertGrid(), tokens=4096, message=7472)
    Buffers(rdma=275447808, nvlink=1958739968)
    """
    require_int("tokens", tokens, 1)
    return Buffers((1 + grid.nodes) * tokens * message, grid.gpus * tokens * message)


def return_bytes(grid: ExpertGrid, tokens: int, message: int) -> Buffers:
    """Direct slots of a combine. Each token has a slot for the sum of each node; whoever forwards has, for each message that
    it brought in, a slot for the row of each GPU of its node, and sends the sum from where it is made.

    >>> return_bytes(ExpertGrid(), tokens=4096, message=14384)
    Buffers(rdma=942669824, nvlink=3770679296)
    """
    require_int("tokens", tokens, 1)
    return Buffers(2 * grid.nodes * tokens * message, grid.gpus * tokens * message)
