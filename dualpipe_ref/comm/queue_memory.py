"""What the queues take of a heap: rings, which are never cleared, and control words, which are zeroed before each launch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dualpipe_ref.comm.kernels.message import VECTOR, Message, rounded_up
from dualpipe_ref.comm.kernels.queue_plan import Rings
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queue_sizes import QueueSizes, combine_block_words, dispatch_block_words
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.simulate.buffers import queue_bytes


@dataclass(frozen=True)
class QueueMemory:
    """Where both phases' rings and words lie in each heap, for slots of up to `slot` bytes, from byte 0 on.

    The phases' rings lie in the same memory, since they never run at once; their words do not, since they are few.
    DeepSeek-V3's buffers, 64 GPUs, with tokens in FP8 and in bfloat16:

    >>> from dualpipe_ref.comm.queue_sizes import usual_sizes
    >>> topology = Topology(8, 8)
    >>> [round(QueueMemory(topology, usual_sizes(topology), slot).size / 2**20) for slot in (7472, 14384)]
    [301, 579]
    """

    topology: Topology
    sizes: QueueSizes
    slot: int

    @property
    def words_at(self) -> int:
        """Where the words begin, behind the larger phase's rings."""
        dispatch, combine = self.sizes.dispatch, self.sizes.combine
        phases = ((dispatch, dispatch.nvl_ring), (combine, combine.sub_ring * self.topology.nodes))
        return max(
            queue_bytes(self.topology, one.channels, one.rdma_ring, nvl_ring, self.slot).total
            for one, nvl_ring in phases
        )

    @property
    def size(self) -> int:
        """Bytes of rings and words."""
        nodes, gpus, channels = *self._shape, self.sizes.dispatch.channels
        words = channels * (2 * nodes + 2 * gpus + 2 * nodes + 2 * gpus * nodes)
        return self.words_at + rounded_up(8 * words, VECTOR)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.topology.nodes, self.topology.gpus_per_node

    def dispatch_plan(self, message: Message, *, is_new: bool, experts_here: int) -> dict[str, Any]:
        """The fields of a plan of dispatch that say what is where, and how large."""
        sizes = self.sizes.dispatch
        rings = self._rings(sizes, 1, message.size, self.words_at)
        shared = dispatch_block_words(sizes, self.topology)
        return {
            **_fields(sizes, sizes.nvl_ring, rings, shared, message),
            "is_new": int(is_new),
            "experts_here": experts_here,
        }

    def combine_plan(self, message: Message) -> dict[str, Any]:
        """The same of combine, where a GPU's NVLink ring is one sub-ring for each node."""
        sizes = self.sizes.combine
        nodes, gpus = self._shape
        words_at = self.words_at + 8 * sizes.channels * 2 * (nodes + gpus)
        rings = self._rings(sizes, nodes, message.size, words_at)
        shared = combine_block_words(sizes, self.topology)
        return {
            **_fields(sizes, sizes.sub_ring, rings, shared, message),
            "is_new": 0,
            "experts_here": 0,
        }

    def _rings(self, sizes: Sizes, sub_rings: int, slot: int, words_at: int) -> Rings:
        nodes, gpus = self._shape
        over_rdma, over_nvlink = sizes.channels * nodes, sizes.channels * gpus * sub_rings
        ring = sizes.rdma_ring * slot
        data = _offsets(0, sizes.channels * (nodes - 1) * ring, over_rdma * ring, 0)
        words = _offsets(words_at, *(8 * one for one in (over_rdma, over_rdma, *[over_nvlink] * 2)))
        return Rings._make((*data, *words, sub_rings))


def _fields(
    sizes: Sizes, nvl_ring: int, rings: Rings, block_words: int, message: Message
) -> dict[str, Any]:
    return {
        "channels": sizes.channels,
        "senders": sizes.senders,
        "window": sizes.window,
        "rdma_ring": sizes.rdma_ring,
        "rdma_chunk": sizes.rdma_chunk,
        "nvl_ring": nvl_ring,
        "nvl_chunk": sizes.nvl_chunk,
        "large_warp": sizes.large_warp,
        "receivers": sizes.receivers,
        "rings": rings,
        "block_words": block_words,
        "message": message.parts(),
    }


def _offsets(first: int, *sizes: int) -> Iterator[int]:
    """Where pieces of these sizes begin, one after another."""
    for size in sizes:
        yield first
        first += size
