"""Memory as GPUs and network cards keep it: what one thread stored, another sees late, in parts, or in another order,
unless a release and an acquire of wide enough scope make it seen.

Each place keeps its last messages, not one value. A thread has a view: the set of messages that it must not look behind.
A release attaches the thread's view to the word that it stores, an acquire takes the view of the word that it reads
(if each side's scope includes the other), and a plain load may give any message that the view does not rule out. What
is posted to a queue pair happens later, in parts and in any order; only an addition that stands in the same queue waits
for all before it. Stores are never seen before they are made, so a relaxed credit after the last read is enough; what
counts is that nobody's hardware stores a credit before the loads in front of it have given their values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.operations import (
    Add,
    Fence,
    Location,
    Operation,
    Put,
    PutWord,
    Read,
    Record,
    RemoteAdd,
    Store,
    Take,
    Wait,
    Write,
)
from dualpipe_ref.comm.protocol.sequential import NO_WAY, ONE_WAY, check_promises, reached
from dualpipe_ref.comm.protocol.sites import ACQUIRE, FENCE, QUEUE, RELEASE, Weakened, orders
from dualpipe_ref.comm.protocol.world import Place, Records, World

# So many of a place's last messages can still be seen.
KEPT = 3


class Said(NamedTuple):
    """One message of a word: its value, and the view that comes with it for those whom `scope` includes."""

    value: int
    view: int = 0
    place: Place | None = None
    scope: str = "system"


class Posted(NamedTuple):
    """What a queue pair has still to do: a copy, a store or an addition."""

    source: Location | None
    target: Location
    value: int
    view: int
    is_add: bool
    is_ordered: bool


class Weak:
    """The same interface as `Sequential`; a choice also says which message is seen."""

    def __init__(self, world: World, weakened: Weakened | None = None) -> None:
        self.orders = {**orders(weakened), **world.orders}
        self.places = [role.place for role in world.roles]
        # A word holds its last messages, plain data how often it was written and the last of what was.
        self.cells: list[Any] = [_first(one) for one in world.locations]
        self.views = [0] * len(world.roles)
        self.fences: list[tuple[int, str]] = [(0, "block")] * len(world.roles)
        self.pending: list[tuple[Posted, ...]] = [()] * len(world.queues)
        self.queue_views = [0] * len(world.queues)
        self.changed: list[Location] = []
        self._bits: dict[tuple[int, int], int] = {}
        self._acts: dict[type, Callable[[int, Any, Any], Any]] = {
            Wait: self._wait,
            Take: self._take,
            Store: self._store,
            Add: self._add,
            Fence: self._fence,
            Write: self._write,
            Read: self._read,
            Put: self._put,
            PutWord: self._put_word,
            RemoteAdd: self._remote_add,
            Record: self._record,
        }

    @property
    def state(self) -> tuple[Any, ...]:
        lists = (self.cells, self.views, self.fences, self.pending, self.queue_views)
        return tuple(map(tuple, lists))

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        lists = map(list, state)
        self.cells, self.views, self.fences, self.pending, self.queue_views = lists

    def records(self) -> Records:
        cells = self.cells
        return Records(lambda location: cells[location.index])

    def newest(self, location: Location) -> Any:
        cell = self.cells[location.index]
        return cell[-1].value if location.kind == "word" else cell[1][-1]

    def options(self, actor: int, operation: Operation) -> Sequence[Any]:
        if isinstance(operation, Wait):
            return self._waits(operation)
        if isinstance(operation, Take):
            return NO_WAY if self.cells[operation.word.index][-1].value else ONE_WAY
        if isinstance(operation, Read):
            return range(len(self._seen(operation.slot, self.views[actor])))
        return ONE_WAY

    def _waits(self, operation: Wait) -> list[tuple[int, int]]:
        """(alternative, age): each word's message of that age, or its oldest that is good enough."""
        found = []
        for at, (_, conditions) in enumerate(operation.alternatives):
            ages = [self._good(word, bound) for word, bound in conditions]
            if all(ages):
                found += [(at, age) for age in range(max(ages, default=1))]
        return found

    def _good(self, word: Location, bound: int | None) -> int:
        """How many of a word's messages, from the newest backwards, have reached the bound."""
        count = 0
        for said in reversed(self.cells[word.index]):
            if not reached(said.value, bound):
                break
            count += 1
        return count

    def _seen(self, slot: Location, view: int) -> list[tuple[int, Any]]:
        """(number, value) of each message of a slot that this view does not rule out, newest first."""
        written, values = self.cells[slot.index]
        found = []
        for back, value in enumerate(reversed(values)):
            found.append((written - back, value))
            if self._knows(view, slot, written - back):
                break
        return found

    def deliveries(self, queue: int) -> list[tuple[int, int]]:
        """(which of what is posted, how old a message it copies) for everything that can happen next."""
        found: list[tuple[int, int]] = []
        data_before = add_before = False
        for at, posted in enumerate(self.pending[queue]):
            is_free = posted.is_add and not posted.is_ordered
            if is_free or not (add_before or (posted.is_add and data_before)):
                ages = 1 if posted.source is None else len(self._seen(posted.source, posted.view))
                found += [(at, age) for age in range(ages)]
            add_before |= posted.is_add and posted.is_ordered
            data_before |= not posted.is_add
        return found

    # What happens

    def perform(self, actor: int, operation: Operation, choice: Any) -> Any:
        return self._acts[type(operation)](actor, operation, choice)

    def _wait(self, actor: int, operation: Wait, choice: tuple[int, int]) -> Any:
        at, age = choice
        label, conditions = operation.alternatives[at]
        values = []
        for word, bound in conditions:
            said = self.cells[word.index][-min(age + 1, self._good(word, bound))]
            values.append(said.value)
            self._acquire(actor, operation.site, said)
        if not operation.values:
            return label
        check_promises(operation)
        return label, tuple(values)

    def _take(self, actor: int, operation: Take, choice: int) -> None:
        self._acquire(actor, operation.site, self.cells[operation.word.index][-1])
        self._say(operation.word, Said(1))

    def _acquire(self, actor: int, site: str, said: Said) -> None:
        order, scope = self.orders[site]
        mine, other = self.places[actor], said.place
        if (
            order == ACQUIRE
            and _includes(scope, mine, other)
            and _includes(said.scope, other, mine)
        ):
            self.views[actor] |= said.view

    def _store(self, actor: int, operation: Store, choice: int) -> None:
        word = operation.word
        assert not (word.once and self.cells[word.index][-1].value), f"{word} is written twice"
        self._say(word, Said(operation.value, *self._release(actor, operation.site)))

    def _add(self, actor: int, operation: Add, choice: int) -> None:
        before = self.cells[operation.word.index][-1]
        view, place, scope = self._release(actor, operation.site)
        # An atomic addition hands on what came with the value that it adds to.
        self._say(
            operation.word,
            Said(before.value + operation.amount, view | before.view, place, scope),
        )

    def _release(self, actor: int, site: str) -> tuple[int, Place, str]:
        order, scope = self.orders[site]
        if order == RELEASE:
            return self.views[actor], self.places[actor], scope
        view, scope = self.fences[actor]
        return view, self.places[actor], scope

    def _fence(self, actor: int, operation: Fence, choice: int) -> None:
        order, scope = self.orders[operation.site]
        if order == FENCE:
            self.fences[actor] = (self.views[actor], scope)

    def _say(self, word: Location, said: Said) -> None:
        self.cells[word.index] = (*self.cells[word.index][1 - KEPT :], said)
        self.changed.append(word)

    def _write(self, actor: int, operation: Write, choice: int) -> None:
        self.views[actor] |= self._append(operation.slot, operation.value)

    def _append(self, slot: Location, value: Any) -> int:
        written, values = self.cells[slot.index]
        self.cells[slot.index] = (written + 1, (*values[1 - KEPT :], value))
        return 1 << self._bit(slot, written + 1)

    def _read(self, actor: int, operation: Read, choice: int) -> Any:
        number, value = self._seen(operation.slot, self.views[actor])[choice]
        if number:
            self.views[actor] |= 1 << self._bit(operation.slot, number)
        return value

    def _record(self, actor: int, operation: Record, choice: int) -> None:
        self.cells[operation.record.index] += (operation.value,)

    # What is posted

    def _put(self, actor: int, operation: Put, choice: int) -> None:
        order, scope = self.orders[operation.site]
        # The network card belongs to no GPU: only what is released to the whole system does it see.
        view = self.views[actor] if order == RELEASE and scope == "system" else 0
        self._post(
            operation.queue.number,
            *(Posted(one, other, 0, view, False, True) for one, other in operation.copies),
        )

    def _put_word(self, actor: int, operation: PutWord, choice: int) -> None:
        self._post(
            operation.queue.number, Posted(None, operation.word, operation.value, 0, False, True)
        )

    def _remote_add(self, actor: int, operation: RemoteAdd, choice: int) -> None:
        is_ordered = self.orders[operation.site][0] == QUEUE
        self._post(
            operation.queue.number,
            Posted(None, operation.word, operation.amount, 0, True, is_ordered),
        )

    def _post(self, queue: int, *posted: Posted) -> None:
        self.pending[queue] += posted

    def deliver(self, queue: int, choice: tuple[int, int]) -> str:
        """Do one thing that is posted; returns what, in words."""
        at, age = choice
        posted = self.pending[queue][at]
        self.pending[queue] = self.pending[queue][:at] + self.pending[queue][at + 1 :]
        if posted.source is not None:
            _, value = self._seen(posted.source, posted.view)[age]
            self.queue_views[queue] |= self._append(posted.target, value)
            return f"copies {posted.source} to {posted.target}"
        before = self.cells[posted.target.index][-1]
        if not posted.is_add:
            self._say(posted.target, Said(posted.value))
            return f"stores {posted.value} in {posted.target}"
        view = self.queue_views[queue] if posted.is_ordered else 0
        self._say(posted.target, Said(before.value + posted.value, view | before.view))
        return f"adds {posted.value} to {posted.target}"

    # Views are sets of messages, as bits of an int

    def _bit(self, slot: Location, number: int) -> int:
        return self._bits.setdefault((slot.index, number), len(self._bits))

    def _knows(self, view: int, slot: Location, number: int) -> bool:
        return not number or bool(view >> self._bit(slot, number) & 1)


def _first(location: Location) -> Any:
    if location.kind == "word":
        return (Said(location.initial),)
    return () if location.kind == "record" else (0, (location.initial,))


def _includes(scope: str, one: Place | None, other: Place | None) -> bool:
    """Whether the scope of `one` reaches `other`; a network card (None) is reached by the whole system only."""
    if scope == "system":
        return True
    if one is None or other is None or one.rank != other.rank:
        return False
    return scope == "gpu" or one.block == other.block
