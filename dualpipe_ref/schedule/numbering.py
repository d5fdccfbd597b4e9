"""Numbers for chunks and messages, and ops in terms of them: what the verifier and the simulator walk over.

Every chunk of the step gets one index, `(direction * stages + stage) * n + microbatch`, so that the
chunk before it in the model is `n` below and the one after it is `n` above. The message that carries a
chunk's activation onward has the chunk's index; the one that carries its gradient back, that plus the
number of chunks. With them a step of 64 ranks and 4,096 micro-batches fits in flat lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.work import Message, Op, OpKind, Payload, Placement, Wire

NO_CHUNK = -1
NOBODY = -1


# An op as integers: (kind, forward chunk, backward chunk, awaits, emits), with NO_CHUNK for none;
# `awaits` and `emits` are the messages that it needs first and makes possible. A bare tuple: the
# verifier and the simulator unpack hundreds of thousands of them.
FlatOp = tuple[OpKind, int, int, tuple[int, ...], tuple[int, ...]]

# A batch as integers: the messages that this rank sends, and those that it receives.
FlatBatch = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Numbering:
    """Indices of chunks and messages of one step; `n` micro-batches in each direction.

    >>> numbering = Numbering(Placement.linear(2), n=3)
    >>> numbering.chunk_home(5), numbering.chunks
    ((1, 0, 2), 6)
    >>> print(numbering.message(0))
    activation of micro-batch 0, direction 0, from stage 0 (rank 0 to rank 1)
    """

    placement: Placement
    n: int

    @cached_property
    def chunks(self) -> int:
        return self.placement.directions * self.placement.stages * self.n

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

    @cached_property
    def crosses(self) -> tuple[bool, ...]:
        """Whether a message goes from one rank to another, by `index // n`."""
        return tuple(wire.destination not in (NOBODY, wire.source) for wire in self.wires)

    def flatten(self, rank: int, ops: Iterable[Op]) -> list[FlatOp]:
        """The ops of one rank as integers.

        Raises InputError where an op names a slot or a micro-batch that the step has not, or has not
        the chunks of its kind.
        """
        n, chunks, stages = self.n, self.chunks, self.placement.stages
        rows = [direction * stages + stage for direction, stage in self.placement.homes[rank]]
        gradient_rows = len(self.wires) // 2
        base = [row * n for row in rows]
        emits_forward = [self.crosses[row] for row in rows]
        emits_backward = [self.crosses[row + gradient_rows] for row in rows]
        slots = range(len(rows))
        microbatches = range(n)
        only_forward, weight, overlapped = OpKind.F, OpKind.W, OpKind.FB
        flat: list[FlatOp] = []
        for op in ops:
            kind, forward, backward = op
            f = b = NO_CHUNK
            awaits: tuple[int, ...] = ()
            emits: tuple[int, ...] = ()
            if (forward is not None) is not (kind is only_forward or kind is overlapped):
                raise self._malformed(rank, op)
            if (backward is None) is not (kind is only_forward):
                raise self._malformed(rank, op)
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

    def _malformed(self, rank: int, op: Op) -> InputError:
        return InputError(
            "F has a forward chunk, I, W and B a backward chunk, FB both", f"{op!r} on rank {rank}"
        )

    def _out_of_range(self, rank: int, op: Op) -> InputError:
        return InputError(
            f"slots are 0..{self.placement.slots - 1} and micro-batches 0..{self.n - 1}",
            f"{op} on rank {rank}",
        )

    @cached_property
    def first_index(self) -> dict[Wire, int]:
        """Index of micro-batch 0's message on each wire that crosses ranks."""
        return {wire: row * self.n for row, wire in enumerate(self.wires) if self.crosses[row]}

    def message_index(self, message: Message) -> int:
        """The reverse of `message`. Raises InputError for a message that the step has not."""
        first = self.first_index.get(message.wire)
        if first is None or not 0 <= message.microbatch < self.n:
            raise InputError(
                "a message takes one output of a stage to the rank of the next",
                f"the {message}, of {self.n} micro-batches",
            )
        return first + message.microbatch
