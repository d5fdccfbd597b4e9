"""Which roles' steps the explorer need not try before one another.

Three reductions, all for sequential memory, where counters only grow:

* A role goes on until it has changed a word or looked at one's value. Slots, locks and waits for a bound that was
  reached ride along: waiting for a bound can as well happen later; and of two who may touch a slot at the same time one
  finds it, in one order or the other, in a state that it must not be in. For that a step touches no slot again that it
  has written, or to write it: what others do in between would be left out.
* A step without slots or values, that only raises words on whose bounds others wait, can as well happen at once.
* Of all other steps a stubborn set is enough: one step, with everybody who may ever touch what it touches; of those who
  wait, everybody who could let them go on (Valmari's stubborn sets, over what each role says that it touches).

`tests/test_protocol/test_reduction.py` compares all of it with the search that leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dualpipe_ref.comm.protocol.operations import (
    Fence,
    Location,
    Operation,
    Read,
    Record,
    Take,
    Wait,
    Write,
)
from dualpipe_ref.comm.protocol.world import World


class Touched(NamedTuple):
    """What one step looked at, with the words that it went on to wait for, what it changed, and whether it ended with
    a wait that can go on in several ways."""

    reads: frozenset[Location]
    writes: frozenset[Location]
    chooses: bool


def rides_along(operation: Operation) -> bool:
    """Whether a step goes on after this operation."""
    if isinstance(operation, Wait):
        return not chooses(operation) and not _looks(operation)
    if isinstance(operation, Read | Write):
        return operation.slot.kind == "slot"
    return isinstance(operation, Record | Fence | Take)


def touches_again(operation: Operation, reads: set[Location], writes: set[Location]) -> bool:
    """Whether a step that has touched these slots has to end before this operation."""
    if isinstance(operation, Read):
        return operation.slot in writes
    return isinstance(operation, Write) and (operation.slot in writes or operation.slot in reads)


def chooses(operation: Operation) -> bool:
    """Whether a wait can go on in several ways."""
    return isinstance(operation, Wait) and len(operation.alternatives) > 1


def _looks(operation: Wait) -> bool:
    """Whether a wait gives values that can change."""
    return operation.values and not all(word.once for word, _ in operation.alternatives[0][1])


class Stubborn:
    """Stubborn sets of one world, as sets of roles in the bits of an int."""

    def __init__(self, world: World) -> None:
        self.readers = [0] * len(world.locations)
        self.writers = [0] * len(world.locations)
        for at, role in enumerate(world.roles):
            for location in role.reads:
                self.readers[location.index] |= 1 << at
            for location in role.writes:
                self.writers[location.index] |= 1 << at

    def chosen(
        self,
        touched: dict[int, Touched],
        blocked: dict[int, Operation],
        missing: dict[int, tuple[Location, ...]],
    ) -> Iterable[int]:
        """Which of the roles that can move (`touched`) to try; `missing`: a word for each way on of those that wait."""
        for at, one in touched.items():
            if self._is_harmless(one):
                return (at,)
        alive = 0
        for at in (*touched, *blocked):
            alive |= 1 << at
        smallest: list[int] = list(touched)
        for start in touched:
            found = [at for at in self._closed(start, alive, touched, missing) if at in touched]
            if len(found) < len(smallest):
                smallest = found
            if len(smallest) == 1:
                break
        return smallest

    def _closed(
        self,
        start: int,
        alive: int,
        touched: dict[int, Touched],
        missing: dict[int, tuple[Location, ...]],
    ) -> list[int]:
        members, todo = 1 << start, [start]
        found = []
        while todo:
            at = todo.pop()
            found.append(at)
            if at in touched:
                new = 0
                for location in touched[at].writes:
                    new |= self.readers[location.index] | self.writers[location.index]
                for location in touched[at].reads:
                    new |= self.writers[location.index]
            else:
                new = 0
                for location in missing[at]:
                    new |= self.writers[location.index]
            new &= alive & ~members
            members |= new
            while new:
                bit = new & -new
                todo.append(bit.bit_length() - 1)
                new ^= bit
        return found

    def _is_harmless(self, one: Touched) -> bool:
        return (
            not one.chooses
            and all(at.kind == "record" or at.bounds_only or at.once for at in one.writes)
            and all(at.kind == "word" and (at.bounds_only or at.once) for at in one.reads)
        )
