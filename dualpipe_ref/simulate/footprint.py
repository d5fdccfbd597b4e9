"""What each rank holds in bytes while a schedule runs, by kind: `memory.over_time` with what a chunk weighs.

Standard library only. Bytes of a chunk and of a stage come from `chunk_bytes` and `deployment`, or from anywhere else.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Chunk, Message, Op, OpKind, Payload, Schedule
from dualpipe_ref.simulate.chunk_bytes import ChunkBytes
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.timeline import Timeline

PARAMETERS, GRADIENTS, STATES = "parameters", "gradients", "optimizer states"
PENDING, MESSAGES, WORKSPACE = "waits for W", "messages", "workspace"
# What is there for all of a step, and what comes and goes beside the kinds of a chunk.
LASTING = (PARAMETERS, GRADIENTS, STATES)
PASSING = (PENDING, MESSAGES, WORKSPACE)


@dataclass(frozen=True)
class StageBytes:
    """Bytes of one stage on one rank: what lasts a step, and one of its chunks.

    `states` is this rank's share of the optimizer's. With `late_gradients` they come with a stage's first backward,
    as those of torch do after `zero_grad`; without, they are buffers that are always there.
    """

    parameters: int
    gradients: int
    states: int
    chunk: ChunkBytes
    late_gradients: bool = False
    split: ChunkBytes | None = None


class Level(NamedTuple):
    """What a rank holds from `time` until the next level, in bytes by kind."""

    time: Number
    kinds: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    @property
    def activations(self) -> int:
        """All that is neither parameters nor gradients nor states."""
        return self.total - sum(self.kinds.get(kind, 0) for kind in LASTING)


@dataclass(frozen=True)
class Footprint:
    """The levels of each rank, in order of time; ops of no length give levels of one time."""

    levels: tuple[tuple[Level, ...], ...]

    @cached_property
    def peaks(self) -> tuple[Level, ...]:
        """The highest level of each rank, the first one of equals."""
        return tuple(max(rank, key=lambda level: level.total) for rank in self.levels)

    @property
    def worst(self) -> int:
        """The rank that needs most."""
        totals = [peak.total for peak in self.peaks]
        return totals.index(max(totals))


def footprint(
    timeline: Timeline, stages: Sequence[StageBytes], *, sends_kept: int = 1
) -> Footprint:
    """What each rank holds as it runs; `stages[s]` is stage s of any direction.

    A receive takes its buffer when its batch is issued; a chunk takes it over. A gradient that is sent goes with the
    `sends_kept`-th message after it. While an op runs its workspace is there; gradients of a stage that has none yet grow while
    the activations of its first backward go, and count from its end. Raises `InputError` for another number of stages.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> stage = StageBytes(100, 100, 0, ChunkBytes({"layer input": 10}, {"layer input": 4}))
    >>> found = footprint(simulate(build("zb-h1", 2, 4)), [stage, stage])
    >>> [peak.total for peak in found.peaks]
    [220, 214]
    """
    _check_stages(timeline.schedule, stages)
    ranks = range(timeline.schedule.ranks)
    return Footprint(
        tuple(tuple(_Rank(timeline, rank, stages, sends_kept).levels()) for rank in ranks)
    )


def peaks(
    timeline: Timeline, stages: Sequence[StageBytes], *, sends_kept: int = 1
) -> tuple[Level, ...]:
    """`footprint(...).peaks` without all that lies between them: for who asks of many schedules whether they fit."""
    _check_stages(timeline.schedule, stages)
    ranks = range(timeline.schedule.ranks)
    return tuple(_Rank(timeline, rank, stages, sends_kept).peak() for rank in ranks)


def _check_stages(schedule: Schedule, stages: Sequence[StageBytes]) -> None:
    if len(stages) != schedule.placement.stages:
        raise InputError(
            "there are bytes of each stage",
            f"{len(stages)} stages of bytes",
            f"{schedule.placement.stages}, as {schedule!r} has",
        )


class _Rank:
    """One rank's walk through its program."""

    def __init__(
        self, timeline: Timeline, rank: int, stages: Sequence[StageBytes], sends_kept: int
    ) -> None:
        self.timeline, self.rank = timeline, rank
        self.homes = timeline.schedule.placement.homes[rank]
        self.last = timeline.schedule.placement.stages - 1
        self.held = [stages[stage] for _, stage in self.homes]
        self.now: Counter[str] = Counter()
        self.sent: deque[int] = deque([0] * sends_kept, sends_kept)
        self.waiting: set[tuple[Payload, int, int]] = set()  # received: payload, slot, micro-batch
        self.has_gradients = [not one.late_gradients for one in self.held]
        ops = timeline.schedule.ops[rank]
        self.is_split = {op.backward for op in ops if op.kind is OpKind.I}

    def levels(self) -> Iterator[Level]:
        return (self._level(time) for time in self._times())

    def peak(self) -> Level:
        """The first of the highest levels."""
        highest, found = -1, None
        for time in self._times():
            if (total := sum(self.now.values())) > highest:
                highest, found = total, self._level(time)
        assert found is not None
        return found

    def _times(self) -> Iterator[Number]:
        """Each time at which `now` may have changed."""
        for one, has in zip(self.held, self.has_gradients, strict=True):
            self.now += Counter({PARAMETERS: one.parameters, STATES: one.states})
            self.now[GRADIENTS] += one.gradients if has else 0
        yield 0
        schedule = self.timeline.schedule
        end: Number = 0
        batches = schedule.batches[self.rank]
        spans = self.timeline.spans[self.rank]
        for place, group in enumerate(batches):
            for sends, receives in group:
                for index in sends:
                    self._send(schedule.numbering.message(index))
                for index in receives:
                    self._receive(schedule.numbering.message(index))
            yield end
            if place < len(spans):
                self._begin(spans[place].op)
                yield spans[place].start
                self._end(spans[place].op)
                end = spans[place].end
                yield end

    def _level(self, time: Number) -> Level:
        return Level(time, {kind: count for kind, count in self.now.items() if count})

    def _chunk(self, chunk: Chunk) -> ChunkBytes:
        held = self.held[chunk.slot]
        return held.split if held.split and chunk in self.is_split else held.chunk

    def _begin(self, op: Op) -> None:
        if op.forward:
            self._take(Payload.ACTIVATION, op.forward)
            self.now.update(self._chunk(op.forward).kept_by_forward)
        self.now[WORKSPACE] += self._workspace(op)

    def _end(self, op: Op) -> None:
        self.now[WORKSPACE] -= self._workspace(op)
        chunk = op.backward
        if chunk is None:
            return
        own = self._chunk(chunk)
        if op.kind is OpKind.W:
            self.now[PENDING] -= own.pending
        else:
            self._take(Payload.GRADIENT, chunk)
            self.now.subtract(own.kept_by_forward)
            self.now[PENDING] += own.pending if op.kind is OpKind.I else 0
            self.now[MESSAGES] += own.message if self._stage(chunk) else 0  # until it is sent
        if op.kind is not OpKind.I and not self.has_gradients[chunk.slot]:
            self.has_gradients[chunk.slot] = True
            self.now[GRADIENTS] += self.held[chunk.slot].gradients

    def _workspace(self, op: Op) -> int:
        forward = self._of(op.forward, "F")
        back = self._of(op.backward, "W" if op.kind is OpKind.W else "B")
        remade = 0
        if op.backward and op.kind is not OpKind.W:
            remade = self._chunk(op.backward).remade
        return max(forward, back) + remade

    def _of(self, chunk: Chunk | None, kind: str) -> int:
        return self._chunk(chunk).workspace.get(kind, 0) if chunk else 0

    def _stage(self, chunk: Chunk) -> int:
        return self.homes[chunk.slot][1]

    def _receive(self, message: Message) -> None:
        step = 1 if message.payload is Payload.ACTIVATION else -1
        slot = self.homes.index((message.direction, message.stage + step))
        self.waiting.add((message.payload, slot, message.microbatch))
        self.now[MESSAGES] += self.held[slot].chunk.message

    def _take(self, payload: Payload, chunk: Chunk) -> None:
        """What came for a chunk is its own from now on; what another slot of this rank made is, too."""
        key = payload, *chunk
        if key in self.waiting:
            self.waiting.remove(key)
            self.now[MESSAGES] -= self._chunk(chunk).message
        elif payload is Payload.GRADIENT and self._stage(chunk) != self.last:
            self.now[MESSAGES] -= self._chunk(chunk).message

    def _send(self, message: Message) -> None:
        """A gradient leaves its place some messages later; an activation is its chunk's."""
        is_gradient = message.payload is Payload.GRADIENT
        slot = self.homes.index((message.direction, message.stage))
        gone = self.sent[0]
        self.sent.append(self.held[slot].chunk.message if is_gradient else 0)
        self.now[MESSAGES] -= gone


def peak_of_copies(schedule: Schedule, stages: Sequence[StageBytes], rank: int) -> int:
    """What a rank holds where gradients of both directions are added up after the last op: beside all that lasts a stage's
    gradients in one row, and the row that came."""
    held = [stages[stage] for _, stage in schedule.placement.homes[rank]]
    lasting = sum(one.parameters + one.gradients + one.states for one in held)
    if schedule.placement.directions == 1:
        return lasting
    return lasting + 2 * max(one.gradients for one in held)
