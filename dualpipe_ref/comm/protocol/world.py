"""What a run consists of: places in memory, queue pairs, and the roles that work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.operations import Broken, Location, Operation, Queue, Steps


class Place(NamedTuple):
    """Where a role runs: a block of a rank's GPU."""

    rank: int
    block: str


class Role(NamedTuple):
    """One warp's work: `start()` gives its steps anew. It touches only what it names here, which is checked."""

    name: str
    place: Place
    start: Callable[[], Steps]
    reads: frozenset[Location]
    writes: frozenset[Location]


class Ring(NamedTuple):
    """`size` slots, each of the same number of parts; counters never wrap, slot = counter mod size."""

    slots: tuple[tuple[Location, ...], ...]

    def slot(self, counter: int) -> tuple[Location, ...]:
        return self.slots[counter % len(self.slots)]

    def stretch(self, counter: int, count: int) -> tuple[tuple[Location, ...], ...]:
        """The slots of `count` counters as one contiguous piece of memory, as a put needs them."""
        first = counter % len(self.slots)
        if first + count > len(self.slots):
            raise Broken(
                f"a put of {count} slots from slot {first} ends behind {self.slots[0][0]}'s ring "
                f"of {len(self.slots)}"
            )
        return self.slots[first : first + count]


def copies(
    source: Sequence[Sequence[Location]], target: Sequence[Sequence[Location]]
) -> tuple[tuple[Location, Location], ...]:
    """Part by part (from, to) of equally many slots."""
    return tuple(
        pair
        for one, other in zip(source, target, strict=True)
        for pair in zip(one, other, strict=True)
    )


@dataclass
class World:
    """A protocol with its sizes, before its first step. Build it, then give it to `run` or `explore`.

    `check` says what is wrong with the records of a run in which every role came to its end, or None. `orders` has the
    (order, scope) of sites that are not in the table of `sites`: those of a protocol that somebody else wrote.
    """

    locations: list[Location] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    check: Callable[[Records], str | None] = lambda records: None
    orders: dict[str, tuple[str, str]] = field(default_factory=dict)

    def word(
        self, name: str, initial: int = 0, bounds_only: bool = False, once: bool = False
    ) -> Location:
        return self._add(Location(len(self.locations), "word", name, initial, bounds_only, once))

    def record(self, name: str) -> Location:
        return self._add(Location(len(self.locations), "record", name, ()))

    def slot(self, name: str) -> Location:
        return self._add(Location(len(self.locations), "slot", name, None))

    def cell(self, name: str, initial: Any) -> Location:
        return self._add(Location(len(self.locations), "cell", name, initial))

    def ring(self, name: str, size: int, parts: int) -> Ring:
        return Ring(
            tuple(
                tuple(self.slot(f"{name}[{at}].{part}") for part in range(parts))
                for at in range(size)
            )
        )

    def queue(self, name: str) -> Queue:
        self.queues.append(Queue(len(self.queues), name))
        return self.queues[-1]

    def role(
        self,
        name: str,
        place: Place,
        start: Callable[[], Steps],
        reads: Iterable[Any],
        writes: Iterable[Any],
    ) -> None:
        self.roles.append(
            Role(name, place, start, frozenset(_flat(reads)), frozenset(_flat(writes)))
        )

    def _add(self, location: Location) -> Location:
        self.locations.append(location)
        return location


class Records:
    """The records at the end of a run."""

    def __init__(self, of_location: Callable[[Location], tuple[Any, ...]]) -> None:
        self._of_location = of_location

    def __getitem__(self, location: Location) -> tuple[Any, ...]:
        return self._of_location(location)


def _flat(things: Iterable[Any]) -> Iterable[Location]:
    for thing in things:
        if isinstance(thing, Location):
            yield thing
        elif thing is not None:
            yield from _flat(thing)


def footprint(operation: Operation) -> tuple[tuple[Location, ...], tuple[Location, ...]]:
    """What an operation may look at and what it may change.

    >>> from dualpipe_ref.comm.protocol.operations import Add
    >>> footprint(Add("ring.sender.tail", Location(0, "word", "tail", 0), 1))
    ((), (tail,))
    """
    return _FOOTPRINTS[type(operation)](operation)


_FOOTPRINTS: dict[type, Callable[[Any], tuple[Any, Any]]] = {}


def _footprints() -> None:
    from dualpipe_ref.comm.protocol import operations as ops

    def waited(op: ops.Wait) -> tuple[Any, Any]:
        return tuple(word for _, conditions in op.alternatives for word, _ in conditions), ()

    _FOOTPRINTS.update(
        {
            ops.Wait: waited,
            ops.Take: lambda op: ((op.word,), (op.word,)),
            ops.Store: lambda op: ((), (op.word,)),
            ops.Add: lambda op: ((), (op.word,)),
            ops.Fence: lambda op: ((), ()),
            ops.Write: lambda op: ((), (op.slot,)),
            ops.Read: lambda op: ((op.slot,), ()),
            ops.Put: lambda op: (
                tuple(one for one, _ in op.copies),
                tuple(other for _, other in op.copies),
            ),
            ops.PutWord: lambda op: ((), (op.word,)),
            ops.RemoteAdd: lambda op: ((), (op.word,)),
            ops.Record: lambda op: ((), (op.record,)),
        }
    )


_footprints()
