"""The worlds in which an answer runs: one ring between two GPUs, and ranks that meet at barriers."""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as short
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.operations import Broken, Location, Read, Record, Steps, Wait, Write
from dualpipe_ref.comm.protocol.world import Place, Records, World
from dualpipe_ref.grading.checks import Answer

from .language import PLAIN_SITE, Memory, Told, orders_of

PARTS = 2
# What one may yield at most for each message, and beside them.
EACH, BESIDE = 12, 40
# Whether a store keeps the rules of a task: what is wrong with it, after the value stored before it.
Rule = Callable[[tuple[Any, ...], int], str | None]


class Size(NamedTuple):
    """A ring and what goes through it; `chunk` is 0 where messages are published one by one."""

    size: int
    count: int
    chunk: int = 0

    def __str__(self) -> str:
        chunk = f", chunk = {self.chunk}" if self.chunk else ""
        return f"size = {self.size}{chunk}, {self.count} message{'s' * (self.count != 1)}"

    @property
    def messages(self) -> list[list[int]]:
        """Message 0 is [10, 11], message 1 [20, 21]."""
        return [
            [10 * (counter + 1) + part for part in range(PARTS)] for counter in range(self.count)
        ]


class Asked(NamedTuple):
    """The two ends of a ring as the answer has them."""

    sender: Told
    receiver: Told


def asked(answer: Answer, size: Size) -> Asked:
    most = EACH * size.count + BESIDE
    prefix, chunk = ("chunk_", (size.chunk,)) if size.chunk else ("", ())
    of_sender = (size.messages, size.size, *chunk)
    of_receiver = (size.count, PARTS, size.size, *chunk)
    return Asked(
        Told(answer, f"{prefix}sender", "sender", of_sender, most),
        Told(answer, f"{prefix}receiver", "receiver", of_receiver, most),
    )


def ring_world(ends: Asked, size: Size) -> World:
    """A sender and a receiver on two GPUs; each message must be taken once, whole and in order."""
    world = World()
    ring = world.ring("slot ", size.size, PARTS)
    words = {name: world.word(name) for name in ("head", "tail")}
    out = world.record("taken")
    world.orders = orders_of(words)
    memory = Memory(words, ring, {"sender": ("tail", "slots"), "receiver": ("head",)})
    everything = [ring, *words.values()]
    for rank, told in enumerate(ends):
        world.role(
            told.role,
            Place(rank, told.role),
            lambda told=told: _end(told, memory, size, out),  # type: ignore[misc]
            reads=everything,
            writes=[out] if told.role == "receiver" else [ring],
        )
        own = words["tail" if told.role == "sender" else "head"]
        last = world.roles[-1]
        world.roles[-1] = last._replace(writes=last.writes | {own})
    world.check = lambda records: _lost(records, out, size)
    return world


def _lost(records: Records, out: Location, size: Size) -> str | None:
    taken = len(records[out])
    return None if taken == size.count else f"both come to their end, and {taken} were taken"


def _end(told: Told, memory: Memory, size: Size, out: Location) -> Steps:
    """One side of the ring: what the answer yields, judged as far as one side can see it."""
    sent: tuple[Any, ...] = ()
    taken = stored = 0
    while (said := told.after(sent)) is not None:
        if said[0] == "take":
            if told.role == "sender":
                raise Broken("the sender takes a message")
            _judge(said[1], taken, size)
            result = yield Record(PLAIN_SITE, out, taken)
            taken += 1
        else:
            operation = memory.operation(told.role, said)
            if said[0] == "store":
                _check_chunk(told.role, said[2], stored, size)
                stored = said[2]
            result = yield operation
            if isinstance(operation, Wait) and operation.values:
                result = result[1][0]
        sent = (*sent, result)


def _check_chunk(role: str, value: int, before: int, size: Size) -> None:
    if not size.chunk:
        return
    if role == "sender" and value % size.chunk and value != size.count:
        raise Broken(f"tail becomes {value}, which is neither a multiple of {size.chunk} nor all")
    if role == "receiver" and value - before < size.chunk:
        raise Broken(
            f"head goes from {before} to {value}: credits come {size.chunk} or more at a time"
        )


def _judge(message: Any, taken: int, size: Size) -> None:
    """Raise `Broken` unless this is the message whose turn it is."""
    known = size.messages
    if taken == len(known):
        raise Broken(f"more is taken than the {len(known)} messages that were sent")
    if not isinstance(message, list | tuple) or len(message) != PARTS:
        raise Broken(f"what is taken is {short(message)}, not a list of {PARTS} parts")
    found = list(message)
    if found == known[taken]:
        return
    words = ["nothing" if value is None else str(value) for value in found]
    what = f"where message {taken} should be there is [{', '.join(words)}]"
    if found in known:
        other = known.index(found)
        kind = "overwritten before it was read" if other > taken else "stale: taken a second time"
        raise Broken(f"{what}, message {other}: {kind}")
    if all(value is None for value in found):
        raise Broken(f"{what}: the slot is read empty")
    raise Broken(f"{what}: it is torn")


def barrier_world(answer: Answer, ranks: int, rounds: int) -> World:
    """Each rank writes its slot, meets the others, reads all slots, and meets them again before it writes the next."""
    world = World()
    ring = world.ring("slot ", ranks, 1)
    pairs = [(one, other) for one in range(ranks) for other in range(ranks) if one != other]
    words = {f"{one} to {other}": world.word(f"{one} to {other}") for one, other in pairs}
    world.orders = orders_of(words)
    for me in range(ranks):
        own = [name for name in words if name.startswith(f"{me} ")]
        memory = Memory(words, ring, {f"rank {me}": own})
        told = [
            Told(answer, "barrier", f"rank {me}", (me, ranks, number), EACH * ranks + BESIDE)
            for number in range(2 * rounds)
        ]
        world.role(
            f"rank {me}",
            Place(me, "only"),
            lambda me=me, told=told, memory=memory: _meeting(me, rounds, told, memory),  # type: ignore[misc]
            reads=[ring, *words.values()],
            writes=[ring.slots[me], *(words[name] for name in own)],
        )
    return world


def _meeting(me: int, rounds: int, told: list[Told], memory: Memory) -> Steps:
    slots = memory.ring.slots
    for number in range(rounds):
        yield Write(PLAIN_SITE, slots[me][0], number + 1)
        yield from _barrier(told[2 * number], memory)
        for other in range(len(slots)):
            seen = yield Read(PLAIN_SITE, slots[other][0])
            if seen != number + 1:
                raise Broken(
                    f"after barrier {2 * number} rank {me} reads {'nothing' if seen is None else seen} from rank {other},"
                    f" who wrote {number + 1} before it"
                    if (seen or 0) <= number
                    else f"before barrier {2 * number + 1} rank {me} reads {seen} from rank {other}, who writes that after it"
                )
        yield from _barrier(told[2 * number + 1], memory)


def _barrier(told: Told, memory: Memory) -> Steps:
    sent: tuple[Any, ...] = ()
    while (said := told.after(sent)) is not None:
        if said[0] not in ("wait", "see", "store"):
            raise Broken(f"{told.role} yields {short(said)}: a barrier waits and stores")
        operation = memory.operation(told.role, said)
        result = yield operation
        if isinstance(operation, Wait) and operation.values:
            result = result[1][0]
        sent = (*sent, result)
