"""Integer form of chunks, messages and ops: what the verifier and the simulator walk over.

Every chunk of the step gets one index, `(direction * stages + stage) * n + microbatch`, so that the
chunk before it in the model is `n` below and the one after it is `n` above. The message that carries a
chunk's activation onward has the chunk's index; the one that carries its gradient back, that plus the
number of chunks. With them a step of 64 ranks and 4,096 micro-batches fits in flat lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Message, Op, OpKind, Payload, Placement, Program, Schedule

NO_CHUNK = -1


class FlatOp(NamedTuple):
    """An op as integers: `awaits` and `emits` are the messages that it needs first and makes possible."""

    kind: OpKind
    forward: int
    backward: int
    awaits: tuple[int, ...]
    emits: tuple[int, ...]


class FlatBatch(NamedTuple):
    """A batch as integers: the messages that this rank sends, and those that it receives."""

    sends: tuple[int, ...]
    receives: tuple[int, ...]


FlatProgram = list[FlatOp | FlatBatch]


@dataclass(frozen=True)
class Numbering:
    """Indices of chunks and messages of one step; `n` micro-batches in each direction.

    >>> numbering = Numbering(Placement.linear(2), n=3)
    >>> numbering.chunk_index(1, 0, 2), numbering.chunks
    (5, 6)
    >>> print(numbering.message(0))
    activation of micro-batch 0, direction 0, from stage 0 (rank 0 to rank 1)
    """

    placement: Placement
    n: int

    @cached_property
    def chunks(self) -> int:
        return self.placement.directions * self.placement.stages * self.n

    def chunk_index(self, rank: int, slot: int, microbatch: int) -> int:
        direction, stage = self.placement.homes[rank][slot]
        return (direction * self.placement.stages + stage) * self.n + microbatch

    def describe_chunk(self, index: int) -> tuple[int, int, int, int]:
        """(rank, direction, stage, microbatch) of a chunk."""
        row, microbatch = divmod(index, self.n)
        direction, stage = divmod(row, self.placement.stages)
        return self.placement.routes[direction][stage][0], direction, stage, microbatch

    def message_index(self, message: Message) -> int:
        row = message.direction * self.placement.stages + message.stage
        chunk = row * self.n + message.microbatch
        return chunk if message.payload is Payload.ACTIVATION else chunk + self.chunks

    @cached_property
    def wires(self) -> tuple[tuple[Payload, int, int, int, int], ...]:
        """(payload, direction, stage, source, destination) by `message index // n`; a hand-over within a
        rank has source = destination, and the ends of the model hand to nobody (-1)."""
        rows = []
        for payload, step in ((Payload.ACTIVATION, 1), (Payload.GRADIENT, -1)):
            for direction, route in enumerate(self.placement.routes):
                for stage, (rank, _) in enumerate(route):
                    inside = 0 <= stage + step < len(route)
                    destination = route[stage + step][0] if inside else NO_CHUNK
                    rows.append((payload, direction, stage, rank, destination))
        return tuple(rows)

    def message(self, index: int) -> Message:
        """The message with this index (it must be one that crosses ranks)."""
        row, microbatch = divmod(index, self.n)
        payload, direction, stage, source, destination = self.wires[row]
        return Message(payload, direction, stage, microbatch, source, destination)

    @cached_property
    def crossings(self) -> tuple[tuple[bool, bool], ...]:
        """For each (direction, stage) row: does its input, does its output come from or go to another rank."""
        rows = []
        for route in self.placement.routes:
            ranks = [rank for rank, _ in route]
            rows += [
                (
                    stage > 0 and ranks[stage - 1] != rank,
                    stage + 1 < len(ranks) and ranks[stage + 1] != rank,
                )
                for stage, rank in enumerate(ranks)
            ]
        return tuple(rows)

    def flatten(self, rank: int, ops: Iterable[Op]) -> list[FlatOp]:
        """The ops of one rank as integers. Slots and micro-batches must be in range."""
        n, chunks = self.n, self.chunks
        stages = self.placement.stages
        rows = [direction * stages + stage for direction, stage in self.placement.homes[rank]]
        base = [row * n for row in rows]
        before = [self.crossings[row][0] for row in rows]
        after = [self.crossings[row][1] for row in rows]
        weight, new = OpKind.W, FlatOp._make
        flat = []
        for kind, forward, backward in ops:
            f = b = NO_CHUNK
            awaits: tuple[int, ...] = ()
            emits: tuple[int, ...] = ()
            if forward is not None:
                slot, microbatch = forward
                f = base[slot] + microbatch
                if before[slot]:
                    awaits = (f - n,)
                if after[slot]:
                    emits = (f,)
            if backward is not None:
                slot, microbatch = backward
                b = base[slot] + microbatch
                if kind is not weight:
                    if after[slot]:
                        awaits += (chunks + b + n,)
                    if before[slot]:
                        emits += (chunks + b,)
            flat.append(new((kind, f, b, awaits, emits)))
        return flat

    def flatten_program(self, rank: int, program: Program) -> FlatProgram:
        """The whole program of one rank as integers."""
        ops = iter(self.flatten(rank, [event for event in program if type(event) is Op]))
        index = self.message_index
        flat: FlatProgram = []
        for event in program:
            if isinstance(event, Op):
                flat.append(next(ops))
            else:
                sends = [index(message) for message in event.messages if message.source == rank]
                receives = [index(message) for message in event.messages if message.source != rank]
                flat.append(FlatBatch(tuple(sends), tuple(receives)))
        return flat


@dataclass(frozen=True)
class FlatSchedule:
    """A schedule's numbering and its programs as integers."""

    numbering: Numbering
    programs: list[FlatProgram]


def flat_schedule(schedule: Schedule) -> FlatSchedule:
    """The integer form of a schedule, made once and kept beside it."""
    kept: FlatSchedule | None = schedule.__dict__.get("_flat")
    if kept is None:
        numbering = Numbering(schedule.placement, schedule.microbatches_per_direction)
        programs = [
            numbering.flatten_program(rank, program)
            for rank, program in enumerate(schedule.programs)
        ]
        kept = schedule.__dict__["_flat"] = FlatSchedule(numbering, programs)
    return kept
