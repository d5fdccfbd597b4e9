"""Runs the threads of a launch, one at a time, in the order of a schedule. Importing this imports greenlet.

A thread gives way where the order matters: at flags, syncs, naps and at some plain accesses. A thread that naps sleeps
until a word changes that it (or another lane of its warp) has looked at, or until nobody else can move: then the clock
jumps. So a wait costs nothing while there is nothing to see, and nobody moving is found at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from greenlet import getcurrent

from dualpipe_ref.comm.transport.emulated.coverage import Coverage
from dualpipe_ref.comm.transport.emulated.places import trail_of
from dualpipe_ref.comm.transport.emulated.regions import KernelError
from dualpipe_ref.comm.transport.emulated.schedules import People, kind_of
from dualpipe_ref.comm.transport.emulated.sleeping import Sleeping
from dualpipe_ref.comm.transport.emulated.stuck import Deadlock, describe
from dualpipe_ref.comm.transport.emulated.threads import Block, Thread, Warp

# So many steps may pass without any word changing, any thread ending or anything arriving.
IDLE_STEPS = 3_000_000
# One in so many plain accesses gives way, on average.
PLAIN_SHARE = 6


class Machine(Sleeping):
    """All blocks of all ranks of one launch."""

    def __init__(self, seed: int, coverage: Coverage | None, engines: int, leaps: bool) -> None:
        self.draw = random.Random(f"emulated {seed}")
        super().__init__(coverage, leaps)
        self.seed = seed
        self.threads: list[Thread] = []
        self.blocks: list[Block] = []
        self.engines = engines
        # Does the next thing that a queue pair has to do; set by the link.
        self.engine: Callable[[int], None] | None = None
        # Lets threads that met at a barrier know what each knew; set by weak memory.
        self.merge: Callable[[list[Thread]], None] | None = None
        self.switches = self._step_of_progress = 0
        self._countdown = 1
        self.live = 0

    # Setting up

    def place(
        self, block: Block, run: Callable[[], None], threads: int, lanes: int, owners: set[Any]
    ) -> None:
        """Put a block with its threads on its SM."""
        block.dim.x = threads
        for x in range(threads):
            if x % lanes == 0:
                block.warps.append(Warp(block, x // lanes))
            thread = Thread(run, len(self.threads), x, block.warps[-1], owners)
            self.threads.append(thread)
            block.warps[-1].live += 1
            block.live += 1
        self.blocks.append(block)
        self.live += threads

    def run(self) -> None:
        """Until all threads have ended and all that they posted has arrived."""
        warps: dict[Warp, int] = {}
        people = People(
            [warps.setdefault(thread.warp, len(warps)) for thread in self.threads],
            [thread.block.rank for thread in self.threads],
            [thread.lane for thread in self.threads],
            len(self.threads) + self.engines,
        )
        for thread in reversed(self.threads):
            self.ready.add(thread.number)
        self.pick = kind_of(self.seed)(self.draw, self.ready, people)
        hub = self._hub = getcurrent()
        context = copy_context()
        for thread in self.threads:
            thread.parent = hub
            thread.gr_context = context
            # All begin here, not in one another: so the stack of each is as short as it can be.
            thread.switch()
        try:
            while self.live:
                self.current = self._choose()
                self.switches += 1
                self.current.switch()
                self._leave(self.current)
            while self.ready.members:
                self._deliver(self.ready.members[-1])
        except Deadlock:
            raise
        except KernelError as error:
            place = trail_of(error.__traceback__)
            raise KernelError(f"{self.current.who}, {place}: {error}") from None
        except Exception as error:
            error.add_note(f"{self.current.who}, {trail_of(error.__traceback__)}")
            raise
        finally:
            self.close()

    def wait_for_start(self) -> None:
        """A thread exists, and waits for its first turn."""
        self._hub.switch()

    def close(self) -> None:
        """End all threads that have not ended."""
        for thread in self.threads:
            if thread and not thread.dead:
                thread.parent = getcurrent()
                thread.throw()

    # Taking turns

    def give_way(self) -> None:
        """Others may move now."""
        self.steps += 1
        self.clock += 1
        thread = self._choose()
        if thread is not self.current:
            self.switches += 1
            self.current = thread
            thread.switch()

    def plain(self) -> None:
        """Count a plain access: some give way."""
        self._countdown -= 1
        if self._countdown <= 0:
            self._countdown = int(self.draw.random() * 2 * PLAIN_SHARE) + 1
            self.give_way()

    def block(self, why: str) -> None:
        """Wait for others."""
        self.steps += 1
        current = self.current
        current.waits = why
        self.ready.discard(current.number)
        thread = self._choose()
        if thread is not current:
            self.switches += 1
            self.current = thread
            thread.switch()

    def _choose(self) -> Thread:
        threads = self.threads
        if self.steps - self._step_of_progress > IDLE_STEPS:
            raise Deadlock(self.describe("threads move on and on, and nothing comes of it"))
        if self.steps >= self.next_wake:
            self.wake_longest()
        while True:
            if not self.ready.members:
                self.idle()
            one = self.pick()
            if one < len(threads):
                return threads[one]
            self._deliver(one)

    def _deliver(self, one: int) -> None:
        assert self.engine is not None
        self.steps += 1
        self.clock += 1
        self.engine(one - len(self.threads))

    def post(self, queue: int) -> None:
        """A queue pair of the network has something to do."""
        self.ready.add(len(self.threads) + queue)

    def drained(self, queue: int) -> None:
        self.ready.discard(len(self.threads) + queue)

    def _leave(self, thread: Thread) -> None:
        self.ready.discard(thread.number)
        self.live -= 1
        self.moved_on()
        warp, block = thread.warp, thread.block
        warp.live -= 1
        block.live -= 1
        if warp.arrived and warp.arrived == warp.live:
            self._met(warp, None)
        if block.arrived and block.arrived == block.live:
            self._all_there(block)

    def moved_on(self) -> None:
        """Something happened that others may have waited for."""
        self.progress += 1
        self._step_of_progress = self.steps

    def describe(self, why: str) -> str:
        return describe(self, why)

    # Meeting

    def meet(self, kind: str, value: Any, then: Callable[[Warp], None] | None = None) -> list[Any]:
        """All lanes of the warp come to the same place; each gets what all brought, by lane.

        `then` is done once, when the last has come and before anyone goes on.
        """
        thread = self.current
        warp = thread.warp
        if not warp.arrived:
            warp.kind, warp.values, warp.then = kind, [None] * len(warp.threads), then
        elif warp.kind != kind:
            raise KernelError(
                f"lanes of a warp must come to the same call: this one calls {kind}, others wait in {warp.kind}"
            )
        warp.values[thread.lane] = value
        warp.arrived += 1
        if warp.arrived < warp.live:
            self.block("warp")
            brought: list[Any] = thread.result
            return brought
        values = self._met(warp, thread)
        self.give_way()
        return values

    def _met(self, warp: Warp, last: Thread | None) -> list[Any]:
        warp.arrived = 0
        values = warp.values
        if warp.then is not None:
            warp.then(warp)
        if warp.kind == "syncwarp" and self.merge is not None:
            self.merge([thread for thread in warp.threads if not thread.dead])
        for thread in warp.threads:
            if thread is not last and thread.waits == "warp":
                thread.result = values
                self.wake(thread)
        return values

    def syncthreads(self) -> None:
        block = self.current.block
        block.arrived += 1
        if block.arrived < block.live:
            self.block("block")
        else:
            self._all_there(block)
            self.give_way()

    def _all_there(self, block: Block) -> None:
        block.arrived = 0
        self.moved_on()
        if self.merge is not None:
            self.merge([thread for thread in block.threads if not thread.dead])
        for thread in block.threads:
            if thread.waits == "block":
                self.wake(thread)
