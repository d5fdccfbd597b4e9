"""What the buffers of an all-to-all hold in one GPU's memory, as queues or as a slot for everything. Standard library only.

Messages are those of `simulate.volumes`. Queues are laid out as in DeepEP's first version (csrc/kernels/legacy, commit
dd758ca) and in `comm.protocol`; direct slots, whose addresses are computed and which need no credit, as in
`comm.kernels.direct_plan`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.simulate.volumes import ExpertGrid


class Buffers(NamedTuple):
    """Bytes of one GPU that are registered for RDMA, and bytes that GPUs of its node write to over NVLink."""

    rdma: int
    nvlink: int

    @property
    def total(self) -> int:
        return self.rdma + self.nvlink


class NodesOfGpus(Protocol):
    """Anything of N nodes of L GPUs: an `ExpertGrid`, and `comm.topology.Topology`."""

    @property
    def nodes(self) -> int: ...

    @property
    def gpus_per_node(self) -> int: ...


def queue_bytes(
    grid: NodesOfGpus,
    channels: int,
    rdma_ring: int,
    nvl_ring: int,
    message: int,
    *,
    stages_own: bool = False,
) -> Buffers:
    """Rings of slots with credit: the number of tokens has no part in it.

    Each channel has, for each node, a ring in which messages arrive and one in which they are staged, and a ring that each
    GPU of the node fills over NVLink. What goes to the own node is written where it is read; with `stages_own` it has a
    ring to be staged in as well, as in DeepEP's first version. In a combine `nvl_ring` is divided among nodes.

    >>> queue_bytes(ExpertGrid(), channels=10, rdma_ring=128, nvl_ring=288, message=7472, stages_own=True)
    Buffers(rdma=153026560, nvlink=172154880)
    """
    for name, value in (("channels", channels), ("rdma_ring", rdma_ring), ("nvl_ring", nvl_ring)):
        require_int(name, value, 1)
    rings = 2 * grid.nodes if stages_own else 2 * grid.nodes - 1
    return Buffers(
        channels * rings * rdma_ring * message,
        channels * grid.gpus_per_node * nvl_ring * message,
    )


def slot_bytes(grid: ExpertGrid, tokens: int, message: int) -> Buffers:
    """Direct slots: one for every message that could come, if each GPU has at most `tokens` tokens.

    In a dispatch a token may go to every node, and all tokens of the GPU at this place of every node may come; of them, over
    NVLink, those of all GPUs. In a combine the same slots hold, of the messages of every node, one sum each, and, of
    those that this GPU forwarded, a row of each GPU of its node.

    >>> slot_bytes(ExpertGrid(), tokens=4096, message=7472)
    Buffers(rdma=489684992, nvlink=1958739968)
    """
    require_int("tokens", tokens, 1)
    return Buffers(2 * grid.nodes * tokens * message, grid.gpus * tokens * message)
