"""Memory in which every operation happens at once and for everybody: any interleaving, but nothing stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.world import Records, World

# What an operation that nothing can hold up may do: one thing.
ONE_WAY: tuple[int, ...] = (0,)
NO_WAY: tuple[int, ...] = ()


def reached(value: int, bound: int | None) -> bool:
    """Whether a word is at its bound, or holds a negative, that is a present, count."""
    return value < 0 if bound is None else value >= bound


def check_promises(operation: Wait) -> None:
    """Raise where a role looks at the value of a word that only has bounds."""
    if operation.values:
        for _, conditions in operation.alternatives:
            for word, _ in conditions:
                assert not word.bounds_only, f"{operation.site} looks at the value of {word}"


class Sequential:
    """`options` says in which ways an operation can happen now (none: it waits), `perform` does one of them."""

    def __init__(self, world: World, weakened: Weakened | None = None) -> None:
        assert weakened is None, "nothing is stale here, so there is no order to take away"
        self.cells: list[Any] = [location.initial for location in world.locations]
        # Words that changed since the list was last emptied; whoever waits for them is to be woken.
        self.changed: list[Location] = []
        self._acts: dict[type, Callable[[Any, int], Any]] = {
            Wait: self._wait,
            Take: self._take,
            Store: self._store,
            PutWord: self._store,
            Add: self._add,
            RemoteAdd: self._add,
            Fence: lambda operation, choice: None,
            Write: self._write,
            Read: lambda operation, choice: self.cells[operation.slot.index],
            Put: self._put,
            Record: self._record,
        }

    @property
    def state(self) -> tuple[Any, ...]:
        return tuple(self.cells)

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        self.cells = list(state)

    def records(self) -> Records:
        cells = self.cells
        return Records(lambda location: cells[location.index])

    def options(self, actor: int, operation: Operation) -> Sequence[int]:
        kind = type(operation)
        if kind is Wait:
            cells = self.cells
            found = []
            for at, (_, conditions) in enumerate(operation.alternatives):  # type: ignore[union-attr]
                for word, bound in conditions:
                    value = cells[word.index]
                    if not (value < 0 if bound is None else value >= bound):
                        break
                else:
                    found.append(at)
            return found
        if kind is Take:
            return NO_WAY if self.cells[operation.word.index] else ONE_WAY  # type: ignore[union-attr]
        return ONE_WAY

    def perform(self, actor: int, operation: Operation, choice: int) -> Any:
        return self._acts[type(operation)](operation, choice)

    def deliveries(self, queue: int) -> Sequence[int]:
        """What a queue pair has still to do: nothing, as posts happen at once."""
        return NO_WAY

    def deliver(self, queue: int, choice: int) -> str:
        raise AssertionError("nothing is ever left in a queue here")

    def _wait(self, operation: Wait, choice: int) -> Any:
        label, conditions = operation.alternatives[choice]
        if not operation.values:
            return label
        check_promises(operation)
        return label, tuple(self.cells[word.index] for word, _ in conditions)

    def _take(self, operation: Take, choice: int) -> None:
        self.cells[operation.word.index] = 1

    def _store(self, operation: Store | PutWord, choice: int) -> None:
        word = operation.word
        before = self.cells[word.index]
        assert not (word.once and before), f"{word} is written twice"
        assert not word.bounds_only or operation.value >= before, f"{word} goes back"
        self.cells[word.index] = operation.value
        self.changed.append(word)

    def _add(self, operation: Add | RemoteAdd, choice: int) -> None:
        self.cells[operation.word.index] += operation.amount
        self.changed.append(operation.word)

    def _write(self, operation: Write, choice: int) -> None:
        self.cells[operation.slot.index] = operation.value

    def _put(self, operation: Put, choice: int) -> None:
        for source, target in operation.copies:
            self.cells[target.index] = self.cells[source.index]

    def _record(self, operation: Record, choice: int) -> None:
        self.cells[operation.record.index] += (operation.value,)
