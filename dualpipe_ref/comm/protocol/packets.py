"""What a run moved: each crossing of a link, each sum, each row that came home, and when.

When is counted in ticks. In a tick every role can do one operation, and a role goes on as soon as what it saw was there:
the order of a run, laid out so that what nothing forced apart is side by side (Lamport 1978, "Time, clocks, and the ordering
of events"). No link has a bandwidth and no message a length here, so ticks tell order and waiting, and not time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol import operations as ops
from dualpipe_ref.comm.protocol.combine import Combine
from dualpipe_ref.comm.protocol.combine_roles import Row
from dualpipe_ref.comm.protocol.dispatch import Dispatch
from dualpipe_ref.comm.protocol.dispatch_roles import Token
from dualpipe_ref.comm.protocol.run import Outcome, Rewrite, run

RDMA, NVLINK, OWN, SUM, ROW = "RDMA", "NVLink", "own memory", "sum", "row"


class Packet(NamedTuple):
    """One thing that happened to (rank, token), a token of a rank, in a tick.

    `kind` is RDMA, NVLINK or OWN for a message from `source` to `target`; SUM where `target` adds rows up; ROW where it puts
    one into its output. `parts` are the rows in it: 1, or what has been added up.
    """

    tick: int
    kind: str
    source: int
    target: int
    rank: int
    token: int
    parts: int = 1


class Traffic(NamedTuple):
    """All packets of a run by tick, how the run ended, and what else it did.

    `words` are counts, tails and credits that went over RDMA beside the messages; `fullest` is the most slots in use of any
    ring between two nodes.
    """

    outcome: Outcome
    packets: tuple[Packet, ...]
    ticks: int
    words: int
    fullest: int


def traffic(phase: Dispatch | Combine, seed: int, mistake: Rewrite | None = None) -> Traffic:
    """Run a phase under the schedule of a seed, with a mistake in its roles if there is one, and note what it moves.

    >>> from dualpipe_ref.comm.protocol import Dispatch, Routes, Sizes
    >>> from dualpipe_ref.comm.topology import Topology
    >>> routes = Routes(Topology(nodes=2, gpus_per_node=2), 4, (((2, 3),), (), (), ()))
    >>> [one[1:] for one in traffic(Dispatch(routes, Sizes()), seed=0).packets if one.kind in (RDMA, NVLINK)]
    [('RDMA', 0, 2, 0, 0, 1), ('NVLink', 2, 3, 0, 0, 1)]
    """
    recorder = Recorder(phase, mistake)
    outcome = run(phase.world, seed, rewrite=recorder)
    packets = tuple(sorted(recorder.packets, key=lambda packet: packet.tick))
    return Traffic(outcome, packets, recorder.ticks, recorder.words, recorder.fullest)


class Recorder:
    """A rewrite that changes nothing: it stands between each role and the run, and notes what passes."""

    def __init__(self, phase: Dispatch | Combine, mistake: Rewrite | None = None) -> None:
        self.mistake = mistake
        self.ranks = [role.place.rank for role in phase.world.roles]
        self.started = 0
        self.packets: list[Packet] = []
        self.ticks = self.words = self.fullest = 0
        # Of a message's parts the last one counts: with it the message is whole.
        self.arrives: dict[int, tuple[str, int, int]] = {}
        self.heads: dict[int, ops.Location] = {}
        for (source, target, *_), link in phase.links.items():
            for slot in link.ring.slots:
                self.arrives[slot[-1].index] = OWN if source == target else RDMA, source, target
            for slot in link.staging.slots:
                self.heads[slot[-1].index] = link.head
        for (source, target, *_), lane in phase.lanes.items():
            for slot in lane.ring.slots:
                self.arrives[slot[-1].index] = OWN if source == target else NVLINK, source, target
        # Of each place in memory, the values that it had and the tick from which it had each.
        self.values: dict[int, list[Any]] = {}
        self.since: dict[int, list[int]] = {}
        self._noters: dict[type, Callable[[Any, int, int], None]] = {
            ops.Store: lambda op, now, rank: self._set(op.word, op.value, now),
            ops.Add: lambda op, now, rank: self._set(op.word, self._now(op.word) + op.amount, now),
            ops.RemoteAdd: self._added_remotely,
            ops.PutWord: self._posted,
            ops.Write: self._written,
            ops.Put: self._put,
            ops.Record: self._recorded,
        }

    def __call__(self, steps: ops.Steps) -> ops.Steps:
        self.started += 1
        changed = steps if self.mistake is None else self.mistake(steps)
        return self._noted(changed, self.ranks[self.started - 1])

    def _noted(self, steps: ops.Steps, rank: int) -> ops.Steps:
        now, result = 0, None
        while True:
            try:
                operation = steps.send(result)
            except StopIteration:
                return
            result = yield operation
            now = 1 + max(now, self._ready(operation, result))
            self.ticks = max(self.ticks, now)
            note = self._noters.get(type(operation))
            if note is not None:
                note(operation, now, rank)

    def _ready(self, operation: ops.Operation, result: Any) -> int:
        """The tick after which an operation could be done, whatever its role did before."""
        if isinstance(operation, ops.Read):
            return self._last(operation.slot)
        if isinstance(operation, ops.Take):
            return self._last(operation.word)
        if not isinstance(operation, ops.Wait):
            return 0
        label, seen = result if operation.values else (result, None)
        conditions = next(words for one, words in operation.alternatives if one == label)
        bounds = [bound for _, bound in conditions] if seen is None else seen
        pairs = zip(conditions, bounds, strict=True)
        return max((self._reached(word, bound) for (word, _), bound in pairs), default=0)

    def _reached(self, word: ops.Location, bound: int) -> int:
        """When a counter came to `bound`, or a count that travels as a negative number was there."""
        if bound < 0:
            return self._last(word)
        at = bisect_left(self.values.get(word.index, []), bound)
        return self.since[word.index][at] if bound > word.initial else 0

    def _last(self, place: ops.Location) -> int:
        since = self.since.get(place.index)
        return since[-1] if since else 0

    def _now(self, place: ops.Location) -> Any:
        values = self.values.get(place.index)
        return values[-1] if values else place.initial

    def _set(self, place: ops.Location, value: Any, tick: int) -> None:
        since = self.since.setdefault(place.index, [])
        # Two roles may add to a word; what the second makes of it is there when both have.
        since.append(max(tick, since[-1]) if since else tick)
        self.values.setdefault(place.index, []).append(value)

    def _added_remotely(self, op: ops.RemoteAdd, now: int, rank: int) -> None:
        self.words += 1
        self._set(op.word, self._now(op.word) + op.amount, now)

    def _posted(self, op: ops.PutWord, now: int, rank: int) -> None:
        self.words += 1
        self._set(op.word, op.value, now)

    def _written(self, op: ops.Write, now: int, rank: int) -> None:
        self._set(op.slot, op.value, now)
        head = self.heads.get(op.slot.index)
        if head is not None:
            self.fullest = max(self.fullest, op.value.counter + 1 - self._now(head))
            row = op.value.payload
            if isinstance(row, Row):
                parts = len(row.terms)
                self.packets.append(Packet(now, SUM, rank, rank, row.rank, row.token, parts))
        self._arrived(op.slot, op.value, now)

    def _put(self, op: ops.Put, now: int, rank: int) -> None:
        for source, target in op.copies:
            message = self._now(source)
            self._set(target, message, now)
            self._arrived(target, message, now)

    def _arrived(self, slot: ops.Location, message: ops.Message, now: int) -> None:
        if slot.index in self.arrives:
            kind, source, target = self.arrives[slot.index]
            what = message.payload
            parts = _rows(what.terms) if isinstance(what, Row) else 1
            self.packets.append(Packet(now, kind, source, target, what.rank, what.token, parts))

    def _recorded(self, op: ops.Record, now: int, rank: int) -> None:
        what = op.value[1] if isinstance(op.value, tuple) and len(op.value) == 2 else None
        if isinstance(what, Token):
            self.packets.append(Packet(now, ROW, rank, rank, what.rank, what.token))
        elif isinstance(what, Row) and what.terms:
            parts = len(what.terms)
            self.packets.append(Packet(now, SUM, rank, rank, what.rank, what.token, parts))
            self.packets.append(
                Packet(now, ROW, rank, rank, what.rank, what.token, _rows(what.terms))
            )


def _rows(terms: Any) -> int:
    """How many GPUs' rows are in a sum.

    >>> _rows(((0,), (2, 3)))
    3
    """
    return 1 if isinstance(terms, int) else sum(map(_rows, terms))
