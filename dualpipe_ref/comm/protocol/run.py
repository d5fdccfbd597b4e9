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
from dualpipe_ref.comm.protocol.sequential import Sequential
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.trace import Event, told
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
        self.is_stale = self.random.random() < 0.5

    def play(self, keep: int) -> Outcome:
        """Run to the end. The last `keep` events are kept."""
        trace: deque[Event] = deque(maxlen=keep)
        self.is_told = keep > 0
        try:
            for actor in range(len(self.generators)):
                self._advance(actor, None)
            pick = _PICKS[self.seed % len(_PICKS)](self)
            while self.ready:
                event = self._step(pick())
                if event is not None:
                    trace.append(event)
        except Broken as broken:
            return Outcome("wrong", str(broken), self.steps, self.seed, tuple(trace))
        return self._end(tuple(trace))

    def _deliver(self, queue: int) -> Event:
        self.steps += 1
        what = self.memory.deliver(queue, self._choose(self.memory.deliveries(queue)))
        self._wake()
        self._watch_queue(queue)
        return Event(self.world.queues[queue].name, "", what)

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
        return Event(self.world.roles[actor].name, operation.site, told(operation, result))

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


class Crowd:
    """A set of ints that gives one by its place in constant time."""

    def __init__(self) -> None:
        self.members: list[int] = []
        self._place: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, one: int) -> bool:
        return one in self._place

    def add(self, one: int) -> None:
        if one not in self._place:
            self._place[one] = len(self.members)
            self.members.append(one)

    def discard(self, one: int) -> None:
        place = self._place.pop(one, None)
        if place is not None:
            last = self.members.pop()
            if last != one:
                self.members[place] = last
                self._place[last] = place


def _evenly(run: Run) -> Callable[[], int]:
    """Anyone, each time anew."""
    members, draw = run.ready.members, run.random.random
    return lambda: members[int(draw() * len(members))]


def _as_far_as_it_goes(run: Run) -> Callable[[], int]:
    """One until it waits, then another."""
    anyone, current = _evenly(run), [-1]

    def pick() -> int:
        if current[0] not in run.ready:
            current[0] = anyone()
        return current[0]

    return pick


def _starving(run: Run) -> Callable[[], int]:
    """A few of the roles and queues move only when no other can."""
    everybody = len(run.generators) + len(run.world.queues)
    share = run.random.choice([0.1, 0.3, 0.5])
    starved = {one for one in range(everybody) if run.random.random() < share}
    anyone = _evenly(run)

    def pick() -> int:
        for _ in range(12):
            one = anyone()
            if one not in starved:
                return one
        return next((one for one in run.ready.members if one not in starved), anyone())

    return pick


def _in_turn(run: Run) -> Callable[[], int]:
    """Those that can move, one step each, in an order drawn once; or only two of them as long as they can."""
    everybody = list(range(len(run.generators) + len(run.world.queues)))
    run.random.shuffle(everybody)
    rank = {one: at for at, one in enumerate(everybody)}
    turn: list[int] = []

    def pick() -> int:
        while turn:
            one = turn.pop()
            if one in run.ready:
                return one
        turn.extend(sorted(run.ready.members, key=rank.__getitem__))
        return turn.pop()

    return pick


def _by_rank(run: Run) -> Callable[[], int]:
    """Always the first in an order drawn once: the others move only while it waits."""
    everybody = list(range(len(run.generators) + len(run.world.queues)))
    run.random.shuffle(everybody)
    members = run.ready.members
    return lambda: min(members, key=everybody.__getitem__)


_PICKS = (_evenly, _as_far_as_it_goes, _starving, _in_turn, _by_rank)


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
