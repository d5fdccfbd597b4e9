"""A second opinion on what runs: ranks as small state machines, channels as real FIFO queues.

Written for the tests and as naive as can be: no indices, no check before the run. It takes nothing
from the package but the words of `ir.py`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Batch, Chunk, Event, Message, Op, OpKind, Payload, Placement

Programs = Sequence[Sequence[Event]]


class Token(NamedTuple):
    """An output on its way: of which stage and micro-batch, and what it is."""

    payload: Payload
    direction: int
    stage: int
    microbatch: int


class RefusedError(Exception):
    """The run is wrong here; its text says why."""


def token_of(message: Message) -> Token:
    return Token(message.payload, message.direction, message.stage, message.microbatch)


class Channel:
    """From one rank to another: sends and receives wait in line until they meet, first with first."""

    def __init__(self) -> None:
        self.sent: deque[Token] = deque()
        self.wanted: deque[Token] = deque()
        self.delivered: set[Token] = set()

    def match(self) -> None:
        while self.sent and self.wanted:
            token, wanted = self.sent.popleft(), self.wanted.popleft()
            if token != wanted:
                raise RefusedError(f"{token} arrives where {wanted} is expected")
            self.delivered.add(token)


class Rank:
    """What one rank has computed and not yet sent, and where in its program it is."""

    def __init__(self, number: int, placement: Placement, microbatches: int) -> None:
        self.number = number
        self.placement = placement
        self.microbatches = range(microbatches // len(placement.routes))
        self.place = 0
        self.is_posted = False
        self.done: set[tuple[str, int, int, int]] = set()
        self.outbox: set[Token] = set()

    def stage_of(self, chunk: Chunk) -> tuple[int, int]:
        """(direction, stage) that this rank holds in the chunk's slot."""
        for direction, route in enumerate(self.placement.routes):
            for stage, place in enumerate(route):
                if place == (self.number, chunk.slot) and chunk.microbatch in self.microbatches:
                    return direction, stage
        raise RefusedError(f"rank {self.number} holds no {chunk}")

    def needs(self, op: Op) -> list[Token]:
        """The outputs of neighbouring stages that the op takes."""
        tokens = []
        if op.forward is not None:
            direction, stage = self.stage_of(op.forward)
            if stage > 0:
                tokens.append(
                    Token(Payload.ACTIVATION, direction, stage - 1, op.forward.microbatch)
                )
        if op.backward is not None and op.kind is not OpKind.W:
            direction, stage = self.stage_of(op.backward)
            if stage + 1 < len(self.placement.routes[direction]):
                tokens.append(Token(Payload.GRADIENT, direction, stage + 1, op.backward.microbatch))
        return tokens

    def home(self, token: Token) -> int:
        return self.placement.routes[token.direction][token.stage][0]

    def has_computed(self, token: Token) -> bool:
        work = "F" if token.payload is Payload.ACTIVATION else "I"
        return (work, *token[1:]) in self.done

    def run(self, op: Op) -> None:
        """Do the work of the op: first all that it needs, then all that it leaves."""
        parts = list(self.parts(op))
        before = {"F": None, "I": "F", "W": "I"}
        for work, key in parts:
            needed = "F" if op.kind in (OpKind.B, OpKind.FB) and work == "W" else before[work]
            if (work, *key) in self.done:
                raise RefusedError(f"{work} of {key} twice")
            if needed is not None and (needed, *key) not in self.done:
                raise RefusedError(f"{work} of {key} before its {needed}")
        for work, key in parts:
            self.done.add((work, *key))
            if work != "W":
                self.put_out(work, key)

    def parts(self, op: Op) -> Iterable[tuple[str, tuple[int, int, int]]]:
        if op.forward is not None:
            yield "F", (*self.stage_of(op.forward), op.forward.microbatch)
        if op.backward is not None:
            work = {OpKind.I: "I", OpKind.W: "W", OpKind.B: "IW", OpKind.FB: "IW"}[op.kind]
            for part in work:
                yield part, (*self.stage_of(op.backward), op.backward.microbatch)

    def put_out(self, work: str, key: tuple[int, int, int]) -> None:
        """The output stands ready for the rank of the next stage, if that is another one."""
        direction, stage, microbatch = key
        payload, step = (Payload.ACTIVATION, 1) if work == "F" else (Payload.GRADIENT, -1)
        route = self.placement.routes[direction]
        if 0 <= stage + step < len(route) and route[stage + step][0] != self.number:
            self.outbox.add(Token(payload, direction, stage, microbatch))

    def take_out(self, token: Token) -> None:
        if token not in self.outbox:
            raise RefusedError(f"rank {self.number} has no {token} to send")
        self.outbox.remove(token)


class Run:
    """One run of all ranks. `rendezvous`: a batch is left when all its messages have met their other end."""

    def __init__(
        self, placement: Placement, microbatches: int, programs: Programs, rendezvous: bool
    ) -> None:
        self.programs, self.rendezvous = programs, rendezvous
        self.ranks = [Rank(number, placement, microbatches) for number in range(len(programs))]
        self.channels: dict[tuple[int, int], Channel] = defaultdict(Channel)

    def go(self) -> None:
        """Let ranks move until none can. Raises RefusedError unless all is done and delivered."""
        while any(self.step(rank) for rank in self.ranks):
            pass
        for rank in self.ranks:
            if rank.place < len(self.programs[rank.number]):
                raise RefusedError(f"rank {rank.number} stops at event {rank.place}")
            if rank.outbox:
                raise RefusedError(f"rank {rank.number} never sends {rank.outbox}")
            for direction, route in enumerate(rank.placement.routes):
                for stage, (holder, _) in enumerate(route):
                    if holder == rank.number:
                        self.expect_complete(rank, direction, stage)
        for ends, channel in self.channels.items():
            if channel.sent or channel.wanted:
                raise RefusedError(
                    f"channel {ends} is left with {channel.sent} and {channel.wanted}"
                )

    def expect_complete(self, rank: Rank, direction: int, stage: int) -> None:
        for microbatch in rank.microbatches:
            for work in "FIW":
                if (work, direction, stage, microbatch) not in rank.done:
                    raise RefusedError(
                        f"rank {rank.number} lacks {work} of {microbatch}, stage {stage}"
                    )

    def step(self, rank: Rank) -> bool:
        """Let a rank do as much as it can; True if it did anything."""
        start = rank.place, rank.is_posted
        while rank.place < len(self.programs[rank.number]):
            event = self.programs[rank.number][rank.place]
            moved = (
                self.issue(rank, event) if isinstance(event, Batch) else self.compute(rank, event)
            )
            if not moved:
                break
            rank.place += 1
        return (rank.place, rank.is_posted) != start

    def compute(self, rank: Rank, op: Op) -> bool:
        """Run the op, unless an output of another rank is still to come. One of its own must be there."""
        for token in rank.needs(op):
            home = rank.home(token)
            if home == rank.number:
                if not rank.has_computed(token):
                    raise RefusedError(f"{op} before {token} is computed")
            elif token not in self.channels[home, rank.number].delivered:
                return False
        rank.run(op)
        return True

    def issue(self, rank: Rank, batch: Batch) -> bool:
        if not rank.is_posted:
            for message in batch.messages:
                self.post(rank, message)
        rank.is_posted = self.rendezvous and not all(map(self.has_met, batch.messages))
        return not rank.is_posted

    def post(self, rank: Rank, message: Message) -> None:
        channel = self.channels[message.source, message.destination]
        if message.source == rank.number:
            rank.take_out(token_of(message))
            channel.sent.append(token_of(message))
        elif message.destination == rank.number:
            channel.wanted.append(token_of(message))
        else:
            raise RefusedError(f"rank {rank.number} is at neither end of {message}")
        channel.match()

    def has_met(self, message: Message) -> bool:
        channel = self.channels[message.source, message.destination]
        return token_of(message) in channel.delivered


def why_refused(
    placement: Placement, microbatches: int, programs: Programs, *, rendezvous: bool
) -> str | None:
    """Why these programs do not run to a right end, or None where they do."""
    try:
        Run(placement, microbatches, programs, rendezvous).go()
    except RefusedError as refusal:
        return str(refusal)
    return None
