"""What a role can do in one step: one memory operation, or one condition that it waits for.

A role is a generator. It yields an operation and is sent its result; between two operations it touches only its own
local variables. Whoever runs it decides when each operation happens.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from typing import Any, NamedTuple


class Broken(Exception):  # noqa: N818  (what it names is the protocol)
    """The protocol did something wrong, and a role saw it: an empty, torn, stale or overwritten slot, or a place that
    is not there."""


class Location:
    """One place in memory: a `word` (a counter or flag that others poll), a `slot` (part of a message, which a reader
    checks), a `cell` (plain data behind a lock) or a `record` (output that only its writer touches).

    `bounds_only` promises that nobody looks at the word's value, only whether it has reached a bound; `once` that it is
    written once. Both are kept up by the memory and let the explorer leave out orders that cannot differ.
    """

    __slots__ = ("bounds_only", "index", "initial", "kind", "name", "once")

    def __init__(
        self,
        index: int,
        kind: str,
        name: str,
        initial: Any,
        bounds_only: bool = False,
        once: bool = False,
    ) -> None:
        self.index, self.kind, self.name, self.initial = index, kind, name, initial
        self.bounds_only, self.once = bounds_only, once

    def __repr__(self) -> str:
        return self.name


class Queue(NamedTuple):
    """A queue pair: what one rank posts to one other over RDMA, data and credits apart."""

    number: int
    name: str


# What a role posts as its place in a ring when it needs nothing more of it.
ENDLESS = 1 << 40
# A bound that a word reaches as soon as it is negative: counts are sent as -v-1, so that zero means "not yet".
PRESENT = None
Condition = tuple[Location, int | None]
Label = Hashable


class Wait(NamedTuple):
    """Go on when in some alternative every word has reached its bound.

    Gives (label of the alternative, values of its words) where `values` is set, else the label alone.
    """

    site: str
    alternatives: tuple[tuple[Label, tuple[Condition, ...]], ...]
    values: bool


class Take(NamedTuple):
    """Wait until a lock is 0 and set it to 1, in one step."""

    site: str
    word: Location


class Store(NamedTuple):
    site: str
    word: Location
    value: int


class Add(NamedTuple):
    """An atomic addition in the memory of this rank."""

    site: str
    word: Location
    amount: int


class Fence(NamedTuple):
    """What was done before it becomes visible before what is stored after it."""

    site: str


class Write(NamedTuple):
    """A plain store of one part of a message."""

    site: str
    slot: Location
    value: Any


class Read(NamedTuple):
    """A plain load of one part of a message."""

    site: str
    slot: Location


class Put(NamedTuple):
    """Post copies of slots (from, to) to a queue; returns before any of them has happened."""

    site: str
    queue: Queue
    copies: tuple[tuple[Location, Location], ...]


class PutWord(NamedTuple):
    """Post the store of one word in another rank's memory."""

    site: str
    queue: Queue
    word: Location
    value: int


class RemoteAdd(NamedTuple):
    """Post an atomic addition in another rank's memory; it happens after all that this queue holds before it."""

    site: str
    queue: Queue
    word: Location
    amount: int


class Record(NamedTuple):
    """Append to this role's own output."""

    site: str
    record: Location
    value: Any


Operation = Wait | Take | Store | Add | Fence | Write | Read | Put | PutWord | RemoteAdd | Record
Steps = Generator[Operation, Any, None]


def at_least(site: str, *conditions: Condition) -> Wait:
    """Wait until all of these words have reached their bounds, whatever their values are."""
    return Wait(site, ((None, conditions),), values=False)


def values_at_least(site: str, *conditions: Condition) -> Wait:
    """The same, and be given the values."""
    return Wait(site, ((None, conditions),), values=True)


def first_of(site: str, alternatives: dict[Label, tuple[Condition, ...]]) -> Wait:
    """Wait until one alternative holds, and be told which, with its values. Where several hold, it may be any."""
    return Wait(site, tuple(alternatives.items()), values=True)


def any_of(site: str, alternatives: dict[Label, tuple[Condition, ...]]) -> Wait:
    """The same, without the values."""
    return Wait(site, tuple(alternatives.items()), values=False)


class Message(NamedTuple):
    """What a slot holds, symbolically: the payload, and the ring counter under which it was written."""

    counter: int
    payload: Any


def write_message(site: str, slot: Sequence[Location], counter: int, payload: Any) -> Steps:
    """Write a message part by part."""
    message = Message(counter, payload)
    for part in slot:
        yield Write(site, part, message)


def read_message(site: str, slot: Sequence[Location], counter: int) -> Generator[Any, Any, Any]:
    """Read a message part by part and return its payload; raises `Broken` unless it is whole and of this counter."""
    found: tuple[Message | None, ...] = ()
    for part in slot:
        seen = yield Read(site, part)
        found = (*found, seen)
    first = found[0]
    if any(part != first for part in found):
        raise Broken(f"{site}: {slot[0]} is torn: its parts are {_told(found)}")
    if first is None:
        raise Broken(f"{site}: {slot[0]} is read empty where message {counter} should be")
    if first.counter != counter:
        what = "overwritten" if first.counter > counter else "stale"
        raise Broken(
            f"{site}: {slot[0]} is {what}: it holds message {first.counter}, not {counter}"
        )
    return first.payload


def _told(parts: Sequence[Message | None]) -> str:
    return ", ".join("empty" if part is None else f"of message {part.counter}" for part in parts)
