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
from itertools import repeat
from typing import NamedTuple

from dualpipe_ref.schedule.collection import collection_paused
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import (
    Message,
    Op,
    OpKind,
    Payload,
    Placement,
    Program,
    Schedule,
    Wire,
)

NO_CHUNK = -1
NOBODY = -1


# An op as integers: (kind, forward chunk, backward chunk, awaits, emits), with NO_CHUNK for none;
# `awaits` and `emits` are the messages that it needs first and makes possible. A bare tuple: the
# verifier and the simulator unpack hundreds of thousands of them.
FlatOp = tuple[OpKind, int, int, tuple[int, ...], tuple[int, ...]]

# A batch as integers: the messages that this rank sends, and those that it receives.
FlatBatch = tuple[tuple[int, ...], tuple[int, ...]]


class FlatRank(NamedTuple):
    """One rank's program: `batches[i]` are issued before `ops[i]`, the last ones after all ops."""

    ops: list[FlatOp]
    batches: list[tuple[FlatBatch, ...]]


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

    def chunk_home(self, index: int) -> tuple[int, int, int]:
        """(rank, slot, microbatch) of a chunk."""
        row, microbatch = divmod(index, self.n)
        direction, stage = divmod(row, self.placement.stages)
        return *self.placement.routes[direction][stage], microbatch

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """The wire of a message by `index // n`. A hand-over within a rank has source = destination,
        and what leaves the model at either end goes to `NOBODY`: neither is ever sent."""
        wires = []
        for payload, step in ((Payload.ACTIVATION, 1), (Payload.GRADIENT, -1)):
            for direction, route in enumerate(self.placement.routes):
                for stage, (rank, _) in enumerate(route):
                    inside = 0 <= stage + step < len(route)
                    destination = route[stage + step][0] if inside else NOBODY
                    wires.append(Wire(payload, direction, stage, rank, destination))
        return tuple(wires)

    def message(self, index: int) -> Message:
        row, microbatch = divmod(index, self.n)
        return Message(self.wires[row], microbatch)

    def all_messages(self) -> list[Message]:
        """Every message of the step by its index; those that never travel keep their place."""
        return [
            message
            for wire in self.wires
            for message in map(Message._make, zip(repeat(wire), range(self.n), strict=False))
        ]

    @cached_property
    def crosses(self) -> tuple[bool, ...]:
        """Whether a message goes from one rank to another, by `index // n`."""
        return tuple(wire.destination not in (NOBODY, wire.source) for wire in self.wires)

    def flatten(self, rank: int, ops: Iterable[Op]) -> list[FlatOp]:
        """The ops of one rank as integers.

        Raises InputError where an op names a slot or a micro-batch that the step has not.
        """
        n, chunks, stages = self.n, self.chunks, self.placement.stages
        rows = [direction * stages + stage for direction, stage in self.placement.homes[rank]]
        gradient_rows = len(self.wires) // 2
        base = [row * n for row in rows]
        emits_forward = [self.crosses[row] for row in rows]
        emits_backward = [self.crosses[row + gradient_rows] for row in rows]
        slots = range(len(rows))
        microbatches = range(n)
        weight = OpKind.W
        flat: list[FlatOp] = []
        for op in ops:
            kind, forward, backward = op
            f = b = NO_CHUNK
            awaits: tuple[int, ...] = ()
            emits: tuple[int, ...] = ()
            if forward is not None:
                slot, microbatch = forward
                if slot not in slots or microbatch not in microbatches:
                    raise self._out_of_range(rank, op)
                f = base[slot] + microbatch
                # The gradient goes back exactly where the activation came from.
                if emits_backward[slot]:
                    awaits = (f - n,)
                if emits_forward[slot]:
                    emits = (f,)
            if backward is not None:
                slot, microbatch = backward
                if slot not in slots or microbatch not in microbatches:
                    raise self._out_of_range(rank, op)
                b = base[slot] + microbatch
                if kind is not weight:
                    if emits_forward[slot]:
                        awaits += (chunks + b + n,)
                    if emits_backward[slot]:
                        emits += (chunks + b,)
            flat.append((kind, f, b, awaits, emits))
        return flat

    def _out_of_range(self, rank: int, op: Op) -> InputError:
        return InputError(
            f"slots are 0..{self.placement.slots - 1} and micro-batches 0..{self.n - 1}",
            f"{op} on rank {rank}",
        )

    def flatten_program(self, rank: int, program: Program) -> FlatRank:
        """The whole program of one rank as integers.

        Raises InputError where a message goes a way that the placement has not, or not by this rank.
        """
        outgoing = self._bases(rank, end=3)
        incoming = self._bases(rank, end=4)
        ops: list[Op] = []
        batches: list[tuple[FlatBatch, ...]] = [()]
        for event in program:
            if isinstance(event, Op):
                ops.append(event)
                batches.append(())
                continue
            sends, receives = [], []
            for message in event.messages:
                wire, microbatch = message
                base = outgoing.get(wire, incoming.get(wire))
                if base is None or not 0 <= microbatch < self.n:
                    raise InputError(
                        "a rank sends its own outputs and receives its own inputs",
                        f"the {message} on rank {rank}",
                    )
                (sends if wire in outgoing else receives).append(base + microbatch)
            batches[-1] += ((tuple(sends), tuple(receives)),)
        return FlatRank(self.flatten(rank, ops), batches)

    def _bases(self, rank: int, end: int) -> dict[Wire, int]:
        """First message index of each wire that starts (end=3) or ends (end=4) at `rank`."""
        return {
            wire: row * self.n
            for row, wire in enumerate(self.wires)
            if self.crosses[row] and wire[end] == rank
        }


@dataclass(frozen=True)
class FlatSchedule:
    """A schedule's numbering and its programs as integers."""

    numbering: Numbering
    ranks: list[FlatRank]


def flat_schedule(schedule: Schedule) -> FlatSchedule:
    """The integer form of a schedule, made once and kept beside it."""
    kept: FlatSchedule | None = schedule.__dict__.get("_flat")
    if kept is None:
        numbering = Numbering(schedule.placement, schedule.microbatches_per_direction)
        with collection_paused():
            ranks = [
                numbering.flatten_program(rank, program)
                for rank, program in enumerate(schedule.programs)
            ]
        kept = keep_flat(schedule, FlatSchedule(numbering, ranks))
    return kept


def keep_flat(schedule: Schedule, flat: FlatSchedule) -> FlatSchedule:
    """Keep an integer form that was made along with the schedule."""
    schedule.__dict__["_flat"] = flat
    return flat
