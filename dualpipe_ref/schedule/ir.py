"""One form for every pipeline schedule: what each rank computes, sends and receives, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.numbering import FlatBatch, FlatOp, Numbering
from dualpipe_ref.schedule.work import (
    Batch,
    Chunk,
    Event,
    Message,
    Op,
    OpKind,
    Payload,
    Placement,
    Program,
    Wire,
)

# The batches of one rank: `batches[i]` are issued before op i, the last ones after all its ops.
Batches = tuple[tuple[FlatBatch, ...], ...]


@dataclass(frozen=True, repr=False)
class Schedule:
    """An order of work for every rank: computations, and the batches of messages between them.

    `microbatches` counts one whole step, both directions together. `ops[rank]` is what the rank
    computes; `batches[rank][i]` the messages that it sends and receives before op i, as indices of
    `numbering` (a step of 64 ranks and 4,096 micro-batches has half a million). `programs` spells both
    out in one line. Frozen and hashable; nothing in it is checked beyond its shape: `verify` does that.

    >>> from dualpipe_ref.schedule import build
    >>> schedule = build("1f1b", ranks=2, microbatches=2)
    >>> schedule
    Schedule('1f1b', P=2, m=2, 8 ops, 4 messages)
    >>> [str(op) for op in schedule.ops[0]]
    ['F0.0', 'F0.1', 'B0.0', 'B0.1']
    >>> print(schedule.programs[0][1].messages[0])
    activation of micro-batch 0, direction 0, from stage 0 (rank 0 to rank 1)
    """

    kind: str
    placement: Placement
    microbatches: int
    ops: tuple[tuple[Op, ...], ...]
    batches: tuple[Batches, ...]

    def __post_init__(self) -> None:
        ranks = self.placement.ranks
        if not len(self.ops) == len(self.batches) == ranks:
            raise InputError(
                "a schedule has one program a rank",
                f"{len(self.ops)} for {ranks} ranks",
                str(ranks),
            )
        for rank, (ops, batches) in enumerate(zip(self.ops, self.batches, strict=True)):
            if len(batches) != len(ops) + 1:
                raise InputError(
                    "batches stand before each op and after the last",
                    f"{len(batches)} groups for {len(ops)} ops on rank {rank}",
                    str(len(ops) + 1),
                )
        require_int("m", self.microbatches, 1)
        if self.microbatches % self.placement.directions:
            raise InputError(
                "both directions carry the same number of micro-batches",
                f"m = {self.microbatches}",
                f"m = {self.microbatches + 1}",
            )

    @classmethod
    def from_programs(
        cls,
        kind: str,
        placement: Placement,
        microbatches: int,
        programs: Sequence[Iterable[Event]],
    ) -> Schedule:
        """The schedule with these events on each rank: the reverse of `programs`.

        Raises InputError for a message that the step has not, or that neither starts nor ends there.
        """
        require_int("m", microbatches, 1)
        if len(programs) != placement.ranks:
            raise InputError(
                "a schedule has one program a rank",
                f"{len(programs)} for {placement.ranks} ranks",
                str(placement.ranks),
            )
        numbering = Numbering(placement, microbatches // placement.directions)
        split = [_split(numbering, rank, program) for rank, program in enumerate(programs)]
        ops, batches = zip(*split, strict=True)
        return cls(kind, placement, microbatches, tuple(ops), tuple(batches))

    @property
    def ranks(self) -> int:
        return self.placement.ranks

    @property
    def microbatches_per_direction(self) -> int:
        """n: m / 2 where there are two directions, else m."""
        return self.microbatches // self.placement.directions

    @cached_property
    def numbering(self) -> Numbering:
        """The integers that stand for chunks and messages."""
        return Numbering(self.placement, self.microbatches_per_direction)

    @cached_property
    def flat_ops(self) -> list[list[FlatOp]]:
        """`ops` as integers. Raises InputError where one names a slot or micro-batch out of range."""
        return [self.numbering.flatten(rank, ops) for rank, ops in enumerate(self.ops)]

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """Ops and batches of each rank in one line, with messages in words."""
        return tuple(
            tuple(_events(self.numbering, ops, batches))
            for ops, batches in zip(self.ops, self.batches, strict=True)
        )

    def __repr__(self) -> str:
        ops = sum(map(len, self.ops))
        groups = [group for batches in self.batches for group in batches]
        messages = sum(len(sends) for group in groups for sends, _ in group)
        return (
            f"Schedule({self.kind!r}, P={self.ranks}, m={self.microbatches},"
            f" {ops} ops, {messages} messages)"
        )


def _events(numbering: Numbering, ops: Sequence[Op], batches: Batches) -> Iterator[Event]:
    for place, group in enumerate(batches):
        for sends, receives in group:
            yield Batch(tuple(map(numbering.message, sends + receives)))
        if place < len(ops):
            yield ops[place]


def _split(
    numbering: Numbering, rank: int, program: Iterable[Event]
) -> tuple[tuple[Op, ...], Batches]:
    """A rank's events as its ops and the batches before each of them."""
    ops: list[Op] = []
    batches: list[tuple[FlatBatch, ...]] = [()]
    for event in program:
        if isinstance(event, Op):
            ops.append(event)
            batches.append(())
        else:
            batches[-1] += (_flat_batch(numbering, rank, event),)
    return tuple(ops), tuple(batches)


def _flat_batch(numbering: Numbering, rank: int, batch: Batch) -> FlatBatch:
    sends: list[int] = []
    receives: list[int] = []
    for message in batch.messages:
        index = numbering.message_index(message)
        if rank not in (message.source, message.destination):
            raise InputError(
                "a rank sends its own outputs and receives its own inputs",
                f"the {message} on rank {rank}",
            )
        (sends if message.source == rank else receives).append(index)
    return tuple(sends), tuple(receives)


__all__ = [
    "Batch",
    "Batches",
    "Chunk",
    "Event",
    "Message",
    "Op",
    "OpKind",
    "Payload",
    "Placement",
    "Program",
    "Schedule",
    "Wire",
]
