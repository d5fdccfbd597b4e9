"""One run of a protocol under an adversarial schedule that its seed determines."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.operations import (
    Broken,
    Operation,
    Put,
    PutWord,
    RemoteAdd,
    Steps,
    Take,
    Wait,
)
from dualpipe_ref.comm.protocol.schedules import Crowd, picker
from dualpipe_ref.comm.protocol.sequential import Sequential
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.trace import Event, delivered, event_of
from dualpipe_ref.comm.protocol.weak import Weak
from dualpipe_ref.comm.protocol.world import Records, World, footprint

Memory = Sequential | Weak
# What is done to a role's steps before they run; mutations are made of it.
Rewrite = Callable[[Steps], Steps]
Observe = Callable[[Memory, Operation], None]


class Outcome(NamedTuple):
    """How a run ended: `finished`, `deadlock` or `wrong`; `why` in words; the last events that led to it."""

    kind: str
    why: str
    steps: int
    seed: int
    trace: tuple[Event, ...] = ()
    records: Records | None = None

    @property
    def is_right(self) -> bool:
        return self.kind == "finished"

    def __str__(self) -> str:
        lines = [f"{self.kind} after {self.steps} steps (seed {self.seed}): {self.why}"]
        return "\n".join([*lines, *(f"  {event}" for event in self.trace)])


def memory_of(world: World, is_weak: bool, weakened: Weakened | None = None) -> Memory:
    return Weak(world, weakened) if is_weak or weakened is not None else Sequential(world)


class Run:
    """The state of one run: who can move, who waits for what."""

    def __init__(
        self,
        world: World,
        memory: Memory,
        seed: int,
        rewrite: Rewrite | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.world, self.memory, self.seed, self.observe = world, memory, seed, observe
        self.random = random.Random(seed)
        self.steps = 0
        self.generators = [
            role.start() if rewrite is None else rewrite(role.start()) for role in world.roles
        ]
        self.next: list[Operation | None] = [None] * len(world.roles)
        self.waiting: dict[int, set[int]] = {}
        self.ready = Crowd()
        self.everybody = len(world.roles) + len(world.queues)
        self.is_stale = self.random.random() < 0.5

    def play(self, keep: int) -> Outcome:
        """Run to the end. The last `keep` events are kept."""
        trace: deque[Event] = deque(maxlen=keep)
        self.is_told = keep > 0
        try:
            for actor in range(len(self.generators)):
                self._advance(actor, None)
            pick = picker(self.seed, self.random, self.ready, self.everybody)
            while self.ready:
                event = self._step(pick())
                if event is not None:
                    trace.append(event)
        except Broken as broken:
            return Outcome("wrong", str(broken), self.steps, self.seed, tuple(trace))
        return self._end(tuple(trace))

    def _deliver(self, queue: int) -> Event:
        self.steps += 1
        choice = self._choose(self.memory.deliveries(queue))
        event, *_ = delivered(self.world.queues[queue], self.memory, choice)
        self._wake()
        self._watch_queue(queue)
        return event

    def _step(self, actor: int) -> Event | None:
        """Let one act and tell of it, if somebody wants to know.

        Nothing happens where another has taken the lock that it was about to take.
        """
        memory, roles = self.memory, len(self.generators)
        if actor >= roles:
            return self._deliver(actor - roles)
        operation = self.next[actor]
        assert operation is not None
        options = memory.options(actor, operation)
        if not options:
            self._park(actor, operation)
            return None
        self.steps += 1
        result = memory.perform(actor, operation, self._choose(options))
        if self.observe is not None:
            self.observe(memory, operation)
        self._wake()
        if isinstance(operation, Put | PutWord | RemoteAdd):
            self._watch_queue(operation.queue.number)
        self._advance(actor, result)
        if not self.is_told:
            return None
        return event_of(self.world.roles[actor].name, operation, result)

    def _choose(self, options: Any) -> Any:
        if len(options) == 1:
            return options[0]
        # Half of the runs see the oldest that may be seen, wherever they can.
        if self.is_stale and self.random.random() < 0.9:
            return options[-1]
        return self.random.choice(options)

    def _advance(self, actor: int, result: Any) -> None:
        """Take a role to its next operation, and see whether it can be done."""
        try:
            operation = self.generators[actor].send(result)
        except StopIteration:
            self.next[actor] = None
            self.ready.discard(actor)
            return
        self.next[actor] = operation
        kind = type(operation)
        if (kind is not Wait and kind is not Take) or self.memory.options(actor, operation):
            self.ready.add(actor)
            return
        self._park(actor, operation)

    def _park(self, actor: int, operation: Operation) -> None:
        """Let a role sleep until a word changes that it waits for."""
        self.ready.discard(actor)
        for word in footprint(operation)[0]:
            self.waiting.setdefault(word.index, set()).add(actor)

    def _wake(self) -> None:
        changed = self.memory.changed
        while changed:
            word = changed.pop()
            asleep = self.waiting.get(word.index)
            if not asleep:
                continue
            for actor in sorted(asleep):
                operation = self.next[actor]
                if operation is not None and self.memory.options(actor, operation):
                    for other in footprint(operation)[0]:
                        self.waiting[other.index].discard(actor)
                    self.ready.add(actor)

    def _watch_queue(self, queue: int) -> None:
        actor = len(self.generators) + queue
        if self.memory.deliveries(queue):
            self.ready.add(actor)
        else:
            self.ready.discard(actor)

    def _end(self, trace: tuple[Event, ...]) -> Outcome:
        stuck = [at for at, operation in enumerate(self.next) if operation is not None]
        if stuck:
            why = waits(self.world, ((at, self.next[at]) for at in stuck))
            return Outcome("deadlock", why, self.steps, self.seed, trace)
        records = self.memory.records()
        wrong = self.world.check(records)
        kind, why = ("finished", "as the oracle has it") if wrong is None else ("wrong", wrong)
        return Outcome(kind, why, self.steps, self.seed, trace, records)


def waits(world: World, stuck: Iterable[tuple[int, Operation | None]]) -> str:
    """Who waits for what, in words; the first few."""
    told_of = [
        f"{world.roles[at].name} waits at {operation.site}"
        for at, operation in stuck
        if operation is not None
    ]
    rest = f" and {len(told_of) - 4} more" if len(told_of) > 4 else ""
    return "; ".join(told_of[:4]) + rest


def run(
    world: World,
    seed: int,
    is_weak: bool = False,
    weakened: Weakened | None = None,
    rewrite: Rewrite | None = None,
    keep: int = 0,
    observe: Observe | None = None,
) -> Outcome:
    """Run a world once; the seed says which of five kinds of schedule, and everything that is drawn in it.

    `is_weak` runs it on weak memory, `weakened` takes the order of one site away (weak memory then, too), `rewrite`
    changes the steps of roles, `keep` is how many of the last events the outcome holds, `observe` is called after each
    operation.

    >>> from dualpipe_ref.comm.protocol.ring import ring_world
    >>> run(ring_world(messages=5, size=2), seed=7).kind
    'finished'
    """
    memory = memory_of(world, is_weak, weakened)
    return Run(world, memory, seed, rewrite, observe).play(keep)
