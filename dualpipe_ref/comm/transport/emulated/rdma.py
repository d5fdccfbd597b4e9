"""The network: what a kernel puts on a queue pair happens later, in pieces, in an order that only an addition waits for."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.regions import KernelError
from dualpipe_ref.comm.transport.emulated.threads import Warp

PIECE = 16


class Posted(NamedTuple):
    """One piece of a put (16 bytes from `source`), or an addition of `amount` where there is no source."""

    target: int
    source: int
    amount: int
    poster: Any

    @property
    def is_add(self) -> bool:
        return not self.source


class Rdma:
    """`link` as a network card does it: a queue pair for each (rank, peer, channel).

    The card reads the source when it comes to it, and may deliver what stands between two additions in any order.
    """

    def __init__(
        self, machine: Machine, memory: Any, topology: Topology, heaps: list[int], size: int
    ) -> None:
        self._machine, self._memory, self._topology = machine, memory, topology
        self._heaps, self._size = heaps, size
        self._queues: list[deque[Posted]] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        machine.engine = self.deliver

    def put(
        self, plan: Any, rank: int, peer: int, channel: int, target: int, source: int, size: int
    ) -> None:
        """Write `size` bytes at `source` of this rank's heap to `target` of the peer's. A warp."""
        self._machine.meet("link.put", (rank, peer, channel, target, source, size), self._posted)

    def _posted(self, warp: Warp) -> None:
        """All lanes have come: lane 0 posts, with what it knows."""
        asked = {value for value in warp.values if value is not None}
        if len(asked) > 1:
            raise KernelError(f"all lanes of a warp put the same: got {sorted(asked)}")
        rank, peer, channel, target, source, size = asked.pop()
        self._check(rank, peer, target, size, PIECE)
        self._check(rank, peer, source, size, PIECE)
        here, there = self._heaps[rank] + source, self._heaps[peer] + target
        poster = self._memory.posting(warp.threads[0])
        self._post(
            (rank, peer, channel),
            [Posted(there + at, here + at, 0, poster) for at in range(0, size, PIECE)],
        )

    def add(self, plan: Any, rank: int, peer: int, channel: int, target: int, amount: int) -> None:
        """Add to a word of the peer's heap, after what was put before. One lane."""
        self._check(rank, peer, target, 8, 8)
        knows = self._memory.posting(self._machine.current)
        posted = Posted(self._heaps[peer] + target, 0, int(amount), knows)
        self._post((rank, peer, channel), [posted])
        self._machine.give_way()

    def _check(self, rank: int, peer: int, at: int, size: int, unit: int) -> None:
        topology = self._topology
        if topology.local_of(rank) != topology.local_of(peer):
            raise KernelError(
                f"a put stays on its rail: rank {rank} and rank {peer} differ in `local`"
            )
        if self._machine.current.block.rank != rank:
            raise KernelError(
                f"a block of rank {self._machine.current.block.rank} puts in the name of rank {rank}"
            )
        if at % unit or size % unit or not 0 <= at <= at + size <= self._size:
            raise KernelError(
                f"a put is of whole {unit} bytes within a heap of {self._size}: got {size} bytes at {at}"
            )

    def _post(self, pair: tuple[int, int, int], posted: list[Posted]) -> None:
        number = self._numbers.setdefault(pair, len(self._numbers))
        if number == len(self._queues):
            if number >= self._machine.engines:
                raise KernelError(f"more than {self._machine.engines} queue pairs")
            self._queues.append(deque())
        self._queues[number].extend(posted)
        self._machine.post(number)

    def deliver(self, number: int) -> None:
        """Do some of what a queue pair has to do: a few pieces in any order, or the addition that is the first."""
        queue, draw = self._queues[number], self._machine.draw
        if queue[0].is_add:
            posted = queue.popleft()
            self._memory.remote_add(number, posted.target, posted.amount, posted.poster)
        else:
            pieces = []
            while queue and not queue[0].is_add:
                pieces.append(queue.popleft())
            draw.shuffle(pieces)
            now = int(draw.random() * len(pieces)) + 1
            for posted in pieces[:now]:
                self._memory.remote_copy(number, posted.target, posted.source, posted.poster)
            queue.extendleft(pieces[now:])
        self._machine.moved_on()
        if not queue:
            self._machine.drained(number)
