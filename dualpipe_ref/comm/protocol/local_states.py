"""The local states of a role, found as they are met: a generator cannot be copied, but it can be led to a state again.

Two states are one if the generator stands at the same instruction with the same local variables. Roles therefore keep
nothing but local variables, and loop over ranges and over sequences whose elements differ.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any

from dualpipe_ref.comm.protocol.operations import Broken, Operation, Steps

START = 0


class LocalStates:
    """Numbers for the local states of one role, 0 for its first, and the operation that comes next in each."""

    def __init__(self, start: Callable[[], Steps]) -> None:
        self._start = start
        self._after: dict[tuple[int, Any], int | Broken] = {}
        self._number: dict[Hashable, int] = {}
        self._results: list[tuple[Any, ...]] = []
        self.operations: list[Operation | None] = []
        self._note(start(), (None,))

    def after(self, state: int, result: Any) -> int:
        """The state that a role comes to when its operation gave `result`; raises `Broken` where the role does."""
        found = self._after.get((state, result))
        if found is None:
            found = self._after[state, result] = self._led(state, result)
        if isinstance(found, Broken):
            raise found
        return found

    def _led(self, state: int, result: Any) -> int | Broken:
        steps = self._start()
        for before in self._results[state]:
            steps.send(before)
        try:
            return self._note(steps, (*self._results[state], result))
        except Broken as broken:
            return broken

    def _note(self, steps: Steps, results: tuple[Any, ...]) -> int:
        try:
            operation: Operation | None = steps.send(results[-1])
        except StopIteration:
            operation = None
        key = (_fingerprint(steps), operation)
        if key not in self._number:
            self._number[key] = len(self.operations)
            self.operations.append(operation)
            self._results.append(results)
        return self._number[key]


def _fingerprint(steps: Any) -> Hashable:
    """Where a generator stands, with all that it holds, and the generators that it is waiting for."""
    frames = []
    while isinstance(steps, Generator):
        frame = getattr(steps, "gi_frame", None)
        if frame is None:
            break
        frames.append((frame.f_lasti, _frozen(dict(frame.f_locals))))
        steps = steps.gi_yieldfrom  # type: ignore[attr-defined]
    return tuple(frames)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple((key, _frozen(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(_frozen(one) for one in value)
    return _fingerprint(value) if isinstance(value, Generator) else value
