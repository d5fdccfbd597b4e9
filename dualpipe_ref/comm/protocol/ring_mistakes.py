"""The two rings with one mistake at a time, small enough to try all schedules while somebody waits."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.protocol.explorer import Explored, explore
from dualpipe_ref.comm.protocol.rdma_ring import rdma_ring_world
from dualpipe_ref.comm.protocol.rewrites import later, sooner, without
from dualpipe_ref.comm.protocol.ring import ring_world
from dualpipe_ref.comm.protocol.run import Outcome, Rewrite, run
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.world import World


class RingMistake(NamedTuple):
    """What is wrong, over which link, and how it is made; `why` says what it stands for."""

    name: str
    why: str
    is_rdma: bool = False
    rewrite: Rewrite | None = None
    weakened: Weakened | None = None

    def world(self, messages: int, size: int) -> World:
        return (rdma_ring_world if self.is_rdma else ring_world)(messages, size)

    def explored(self, messages: int, size: int) -> Explored:
        """All schedules, on weak memory: what is wrong without it is wrong there too.

        >>> RING_MISTAKES[0].explored(messages=3, size=2).kind
        'finished'
        """
        return explore(self.world(messages, size), True, self.weakened, self.rewrite)

    def ran(self, messages: int, size: int, seed: int, keep: int = 0) -> Outcome:
        """One adversarial schedule, on weak memory; `keep` of its last events."""
        return run(self.world(messages, size), seed, True, self.weakened, self.rewrite, keep)


RING_MISTAKES: tuple[RingMistake, ...] = (
    RingMistake("none", "the ring as it should be"),
    RingMistake(
        "the sender ignores credit",
        "it writes a slot without looking at head",
        rewrite=without("ring.sender.credit"),
    ),
    RingMistake(
        "tail before data",
        "the slot is written after the tail that publishes it",
        rewrite=later("ring.sender.slot", "ring.sender.tail"),
    ),
    RingMistake(
        "credit before the slots are read",
        "head is stored as soon as the tail is seen (from the second time on)",
        rewrite=sooner("ring.receiver.credit", "ring.receiver.tail"),
    ),
    RingMistake(
        "credit is never given back",
        "the receiver does not store head",
        rewrite=without("ring.receiver.credit"),
    ),
    RingMistake(
        "no release",
        "tail is stored with a relaxed store",
        weakened=Weakened("ring.sender.tail", None),
    ),
    RingMistake(
        "release to the own GPU only",
        "the scope of the release is gpu, not sys",
        weakened=Weakened("ring.sender.tail", "gpu"),
    ),
    RingMistake(
        "no acquire",
        "tail is loaded with a relaxed load",
        weakened=Weakened("ring.receiver.tail", None),
    ),
    RingMistake(
        "acquire from the own GPU only",
        "the scope of the acquire is gpu, not sys",
        weakened=Weakened("ring.receiver.tail", "gpu"),
    ),
    RingMistake("RDMA: none", "data and tail in one queue pair", is_rdma=True),
    RingMistake(
        "RDMA: tail in another queue pair",
        "nothing orders the addition behind the put",
        is_rdma=True,
        weakened=Weakened("rdma_ring.sender.tail", None),
    ),
    RingMistake(
        "RDMA: put before the staged data are released",
        "the network card reads the memory of the GPU, and may read what was there before",
        is_rdma=True,
        weakened=Weakened("rdma_ring.sender.put", None),
    ),
)
