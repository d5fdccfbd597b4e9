"""Naps: a thread sleeps until there is something to see, or until nobody else can move. Importing this imports greenlet."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.comm.protocol.schedules import Crowd
from dualpipe_ref.comm.transport.emulated.coverage import Coverage
from dualpipe_ref.comm.transport.emulated.stuck import Deadlock
from dualpipe_ref.comm.transport.emulated.threads import Thread, Warp

# So often may all threads wake, look and go back to sleep before nothing more is expected.
VAIN_ROUNDS = 48
# After so many steps the warp that sleeps longest looks again, whether or not it has something to see.
STEPS_OF_SLEEP = 32


class Sleeping:
    """What a machine knows of those who nap, and of the words that they look at."""

    def __init__(self, coverage: Coverage | None, leaps: bool) -> None:
        self.coverage, self.leaps = coverage, leaps
        self.current: Any = None
        self.ready = Crowd()
        self.sleepers: dict[int, Thread] = {}
        self.watchers: dict[int, set[Warp]] = {}
        self.clock = self.progress = self.steps = 0
        self.next_wake = STEPS_OF_SLEEP
        self._seen_progress = self._vain_rounds = self._clock_of_progress = 0
        self._step_of_progress = 0

    def block(self, why: str) -> None:
        """Wait for others."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Others may move now."""
        raise NotImplementedError

    def describe(self, why: str) -> str:
        """Who stands where."""
        raise NotImplementedError

    def wake(self, thread: Thread) -> None:
        thread.waits = ""
        self.ready.add(thread.number)

    def wake_longest(self) -> None:
        """The warp that sleeps longest looks again; more and more seldom while nothing comes of it.

        A look of many lanes takes more steps than a short sleep, and in some schedules who woke last goes first.
        """
        self.next_wake = self.steps + STEPS_OF_SLEEP + self.steps - self._step_of_progress
        if self.sleepers:
            self._wake_warp(next(iter(self.sleepers.values())).warp)

    def watch(self, address: int) -> None:
        """The running warp looks at a word: it is woken when that changes."""
        if self.coverage is not None:
            self.coverage.look()
        watchers = self.watchers.get(address)
        if watchers is None:
            self.watchers[address] = {self.current.warp}
        else:
            watchers.add(self.current.warp)

    def changed(self, address: int) -> None:
        """A word changed that somebody watches."""
        for warp in self.watchers.pop(address):
            warp.changes += 1
            self._wake_warp(warp)

    def _wake_warp(self, warp: Warp) -> None:
        for thread in warp.threads:
            if thread.waits == "nap":
                del self.sleepers[thread.number]
                self.wake(thread)

    def nap(self, nanoseconds: int) -> None:
        thread = self.current
        if self.coverage is not None:
            self.coverage.stall()
        if thread.seen_changes == thread.warp.changes:
            thread.due = self.clock + int(nanoseconds)
            self.sleepers[thread.number] = thread
            self.block("nap")
        else:
            self.give_way()
        thread.seen_changes = thread.warp.changes

    def idle(self) -> None:
        """Nobody can move: the clock jumps until all that sleep look again."""
        if self.progress != self._seen_progress:
            self._seen_progress, self._vain_rounds = self.progress, 0
            self._clock_of_progress = self.clock
        self._vain_rounds += 1
        if not self.sleepers:
            raise Deadlock(self.describe("nobody can move"))
        if self._vain_rounds > VAIN_ROUNDS and not self.leaps:
            raise Deadlock(
                self.describe("nobody can move: all look in vain at words that nobody will change")
            )
        self.clock = max(self.clock, *(thread.due for thread in self.sleepers.values()))
        if self._vain_rounds > VAIN_ROUNDS:
            # Time passes faster and faster, so that waits of seconds end; the shortest of them first.
            self.clock += max(self.clock - self._clock_of_progress, 0) // 4
        sleepers = list(self.sleepers.values())
        self.sleepers.clear()
        for thread in reversed(sleepers):
            self.wake(thread)
