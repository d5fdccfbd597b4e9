"""The words of a schedule: ops, messages, and who holds which stage.

Vocabulary, used everywhere in the package and the book:

* A *stage* is a contiguous piece of the model. A *rank* is a device; it holds one stage in each of its *slots*.
* A *direction* is one way through the ranks. DualPipe and Chimera have two, each with a copy of the
  model and with its own micro-batches; every other schedule has one.
* A *chunk* is one micro-batch in one stage. Its work is F (forward), I (backward for the input) and
  W (backward for the weights). B is I and W at once; FB is the F of one chunk overlapped with the B of another.
* A *message* carries a chunk's output to another rank: an activation onward, a gradient back.
* A *batch* is the group of messages that a rank issues together between two computations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError


class OpKind(StrEnum):
    """What is computed. B = I and W in one; FB = F and B of different micro-batches, overlapped."""

    F = "F"
    I = "I"  # noqa: E741 - the field's name for the backward that computes the input's gradient
    W = "W"
    B = "B"
    FB = "FB"


class Chunk(NamedTuple):
    """One micro-batch in the stage that a rank holds in `slot` (micro-batches count from 0 in each direction)."""

    slot: int
    microbatch: int


class Op(NamedTuple):
    """One computation: F has a `forward` chunk; I, W and B a `backward` one; FB both.

    >>> print(Op(OpKind.FB, Chunk(0, 3), Chunk(1, 2)))
    FB(F0.3, B1.2)
    """

    kind: OpKind
    forward: Chunk | None = None
    backward: Chunk | None = None

    @property
    def chunk(self) -> Chunk:
        """The one chunk of an F, I, W or B. Raises ValueError for an FB, which has two."""
        chunk = self.forward or self.backward
        if chunk is None or (self.forward and self.backward):
            raise ValueError(f"{self.kind} has no single chunk")
        return chunk

    def __str__(self) -> str:
        if self.kind is OpKind.FB and self.forward and self.backward:
            return (
                f"FB(F{self.forward.slot}.{self.forward.microbatch},"
                f" B{self.backward.slot}.{self.backward.microbatch})"
            )
        chunk = self.forward or self.backward
        return f"{self.kind}{chunk.slot}.{chunk.microbatch}" if chunk else str(self.kind)


class Payload(StrEnum):
    """What a message carries: the output of a forward, or the gradient of a chunk's input."""

    ACTIVATION = "activation"
    GRADIENT = "gradient"


class Wire(NamedTuple):
    """One way that messages go in a placement: the output of `stage`, from the rank that holds it to the next."""

    payload: Payload
    direction: int
    stage: int
    source: int
    destination: int


class Message(NamedTuple):
    """One micro-batch's output on a wire.

    The same message stands in a batch of the source (there it is a send) and in one of the
    destination (there it is a receive). It has no tag when it travels: the k-th send of a channel
    (source, destination) meets the k-th receive, whatever the wires.

    >>> print(Message(Wire(Payload.GRADIENT, 0, 5, 5, 4), 2))
    gradient of micro-batch 2, direction 0, from stage 5 (rank 5 to rank 4)
    """

    wire: Wire
    microbatch: int

    @property
    def payload(self) -> Payload:
        return self.wire.payload

    @property
    def direction(self) -> int:
        return self.wire.direction

    @property
    def stage(self) -> int:
        """The stage whose output this is."""
        return self.wire.stage

    @property
    def source(self) -> int:
        return self.wire.source

    @property
    def destination(self) -> int:
        return self.wire.destination

    def __str__(self) -> str:
        payload, direction, stage, source, destination = self.wire
        return (
            f"{payload} of micro-batch {self.microbatch}, direction {direction},"
            f" from stage {stage} (rank {source} to rank {destination})"
        )


class Batch(NamedTuple):
    """Messages that a rank issues together, as torch's `batch_isend_irecv` does, before it goes on."""

    messages: tuple[Message, ...]


Event = Op | Batch
Program = tuple[Event, ...]


@dataclass(frozen=True)
class Placement:
    """Who holds which stage: `routes[direction][stage]` is the (rank, slot) that holds it.

    >>> Placement.bidirectional(4).routes[1]
    ((3, 1), (2, 1), (1, 1), (0, 1))
    >>> Placement.v_shape(2).routes[0]
    ((0, 0), (1, 0), (1, 1), (0, 1))
    """

    routes: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def linear(cls, ranks: int) -> Placement:
        """Stage s on rank s."""
        return cls((tuple((rank, 0) for rank in range(ranks)),))

    @classmethod
    def looped(cls, ranks: int, slots: int) -> Placement:
        """Stage s on rank s mod P: the model goes round the ranks `slots` times."""
        return cls((tuple((rank, slot) for slot in range(slots) for rank in range(ranks)),))

    @classmethod
    def v_shape(cls, ranks: int) -> Placement:
        """Down the ranks in slot 0 and back up in slot 1: the last rank hands to itself."""
        down = tuple((rank, 0) for rank in range(ranks))
        return cls((down + tuple((rank, 1) for rank in reversed(range(ranks))),))

    @classmethod
    def bidirectional(cls, ranks: int) -> Placement:
        """Two copies of the model, one entering at each end; direction d lives in slot d."""
        down = tuple((rank, 0) for rank in range(ranks))
        return cls((down, tuple((rank, 1) for rank in reversed(range(ranks)))))

    @property
    def directions(self) -> int:
        return len(self.routes)

    @property
    def stages(self) -> int:
        """Number of stages in one direction (PP in the published formulas)."""
        return len(self.routes[0])

    @cached_property
    def homes(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """`homes[rank][slot]` is the (direction, stage) held there: `routes`, read the other way.

        >>> Placement.looped(2, 2).homes
        (((0, 0), (0, 2)), ((0, 1), (0, 3)))
        """
        held = {
            place: (direction, stage)
            for direction, route in enumerate(self.routes)
            for stage, place in enumerate(route)
        }
        ranks = 1 + max((rank for rank, _ in held), default=0)
        slots = 1 + max((slot for _, slot in held), default=0)
        if not sum(map(len, self.routes)) == len(held) == ranks * slots or min(held) < (0, 0):
            raise InputError(
                "a placement gives every slot of every rank one stage",
                f"{len(held)} different places for {ranks} ranks of {slots} slots",
            )
        if len({len(route) for route in self.routes}) > 1:
            raise InputError(
                "both directions go through the same number of stages", f"{self.routes}"
            )
        return tuple(tuple(held[rank, slot] for slot in range(slots)) for rank in range(ranks))

    @property
    def ranks(self) -> int:
        return len(self.homes)

    @property
    def slots(self) -> int:
        """Stages held by each rank (v of the interleaved schedules; both copies, where there are two)."""
        return len(self.homes[0])
