"""All schedules of a small protocol: every state that some interleaving reaches, breadth first.

A deadlock is found exactly (no role can move, not all are done), as is everything that a role or the oracle calls
wrong, and the schedule that is shown is a shortest one. For large sizes there is `run`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.local_states import START, LocalStates
from dualpipe_ref.comm.protocol.operations import Broken, Location, Operation, Record, Take, Wait
from dualpipe_ref.comm.protocol.reduction import Stubborn, Touched, chooses, rides_along
from dualpipe_ref.comm.protocol.run import Rewrite, memory_of, waits
from dualpipe_ref.comm.protocol.sequential import reached
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.trace import Event, told
from dualpipe_ref.comm.protocol.world import World, footprint

State = tuple[tuple[int, ...], tuple[Any, ...]]


class Explored(NamedTuple):
    """What an exploration found: `finished` (nothing wrong), `deadlock`, `wrong`, or `unfinished` at the limit.

    `ends` counts the states in which nobody can move and all is as it should be.
    """

    kind: str
    why: str
    states: int
    ends: int
    trace: tuple[Event, ...] = ()

    @property
    def is_right(self) -> bool:
        return self.kind == "finished"

    def __str__(self) -> str:
        lines = [f"{self.kind} after {self.states} states: {self.why}"]
        return "\n".join([*lines, *(f"  {event}" for event in self.trace)])


class Move(NamedTuple):
    """One step of one actor: how it chose, and where that leads."""

    actor: int
    choice: Any
    state: State


class Explorer:
    """Steps of a world, from any state."""

    def __init__(
        self,
        world: World,
        is_weak: bool,
        weakened: Weakened | None,
        rewrite: Rewrite | None,
        reduce: bool,
    ) -> None:
        self.world = world
        self.memory: Any = memory_of(world, is_weak, weakened)
        self.is_weak = is_weak or weakened is not None
        self.reduce = reduce
        self.locals = [
            LocalStates(
                role.start if rewrite is None else lambda role=role: rewrite(role.start())  # type: ignore[misc]
            )
            for role in world.roles
        ]
        self.stubborn = Stubborn(world)
        self.log: list[Event] | None = None

    @property
    def first(self) -> State:
        return (START,) * len(self.locals), self.memory.state

    def operation(self, state: State, actor: int) -> Operation | None:
        return self.locals[actor].operations[state[0][actor]]

    def moves(self, state: State) -> list[Move]:
        """What can come next in this state; raises `Stopped` where that goes wrong."""
        found: dict[int, list[Move]] = {}
        touched: dict[int, Touched] = {}
        blocked: dict[int, Operation] = {}
        for actor in range(len(self.locals)):
            operation = self.operation(state, actor)
            if operation is None:
                continue
            moves, what = self._step(state, actor)
            if moves:
                found[actor], touched[actor] = moves, what
            else:
                blocked[actor] = operation
        if self.is_weak:
            return [*self._deliveries(state), *(move for moves in found.values() for move in moves)]
        if self.reduce and len(found) > 1:
            missing = {at: self._missing(state, operation) for at, operation in blocked.items()}
            found = {at: found[at] for at in self.stubborn.chosen(touched, blocked, missing)}
        return [move for moves in found.values() for move in moves]

    def _missing(self, state: State, operation: Operation) -> tuple[Location, ...]:
        """For each way on, a word that has not reached its bound."""
        cells = state[1]
        if isinstance(operation, Take):
            return (operation.word,)
        assert isinstance(operation, Wait)
        return tuple(
            next(word for word, bound in conditions if not reached(cells[word.index], bound))
            for _, conditions in operation.alternatives
        )

    def _deliveries(self, state: State) -> Iterator[Move]:
        for queue in range(len(self.world.queues)):
            self.memory.state = state[1]
            for choice in self.memory.deliveries(queue):
                self.memory.state = state[1]
                self.memory.deliver(queue, choice)
                yield Move(len(self.locals) + queue, choice, (state[0], self.memory.state))

    def _step(self, state: State, actor: int) -> tuple[list[Move], Touched]:
        """The moves of one role, none where it waits, and what they touch."""
        memory, local, states = self.memory, state[0][actor], self.locals[actor]
        memory.state = state[1]
        memory.changed.clear()
        reads: set[Location] = set()
        writes: set[Location] = set()
        has_moved = False
        while (operation := states.operations[local]) is not None:
            self._touch(actor, operation, reads, writes)
            options = memory.options(actor, operation)
            if not options:
                break
            if not self._goes_on(operation):
                moves = self._branches(state, actor, local, operation, options)
                return moves, Touched(frozenset(reads), frozenset(writes), chooses(operation))
            local = self._perform(actor, local, operation, options[0])
            has_moved = True
        moves = [Move(actor, None, self._with(state, actor, local))] if has_moved else []
        return moves, Touched(frozenset(reads), frozenset(writes), False)

    def _goes_on(self, operation: Operation) -> bool:
        if not self.reduce:
            return False
        return type(operation) is Record if self.is_weak else rides_along(operation)

    def _branches(
        self, state: State, actor: int, local: int, operation: Operation, options: Any
    ) -> list[Move]:
        before, found = self.memory.state, []
        for choice in options:
            self.memory.state = before
            after = self._perform(actor, local, operation, choice)
            found.append(Move(actor, choice, self._with(state, actor, after)))
        return found

    def _perform(self, actor: int, local: int, operation: Operation, choice: Any) -> int:
        result = self.memory.perform(actor, operation, choice)
        if self.log is not None:
            self.log.append(
                Event(self.world.roles[actor].name, operation.site, told(operation, result))
            )
        try:
            return self.locals[actor].after(local, result)
        except Broken as broken:
            raise Stopped(actor, choice, str(broken)) from None

    def _with(self, state: State, actor: int, local: int) -> State:
        locals_, _ = state
        return (*locals_[:actor], local, *locals_[actor + 1 :]), self.memory.state

    def _touch(
        self, actor: int, operation: Operation, reads: set[Location], writes: set[Location]
    ) -> None:
        looked_at, changed = footprint(operation)
        role = self.world.roles[actor]
        if not (role.reads.issuperset(looked_at) and role.writes.issuperset(changed)):
            raise AssertionError(f"{role.name} touches what it does not name at {operation.site}")
        reads.update(looked_at)
        writes.update(changed)

    def events(self, path: list[tuple[int, Any]]) -> tuple[Event, ...]:
        """Everything that happens along a path, the step included with which it goes wrong."""
        state, self.log = self.first_again(), []
        try:
            for actor, choice in path:
                state = self._again(state, actor, choice)
        except Stopped:
            pass
        events, self.log = tuple(self.log), None
        return events

    def first_again(self) -> State:
        fresh = memory_of(self.world, False) if not self.is_weak else type(self.memory)(self.world)
        return (START,) * len(self.locals), fresh.state

    def _again(self, state: State, actor: int, choice: Any) -> State:
        assert self.log is not None
        if actor >= len(self.locals):
            queue = actor - len(self.locals)
            self.memory.state = state[1]
            what = self.memory.deliver(queue, choice)
            self.log.append(Event(self.world.queues[queue].name, "", what))
            return state[0], self.memory.state
        memory, local, states = self.memory, state[0][actor], self.locals[actor]
        memory.state = state[1]
        while (operation := states.operations[local]) is not None:
            options = memory.options(actor, operation)
            if not options:
                break
            goes_on = self._goes_on(operation)
            local = self._perform(actor, local, operation, options[0] if goes_on else choice)
            if not goes_on:
                break
        return self._with(state, actor, local)


class Stopped(Exception):  # noqa: N818  (a search comes to its end)
    """A step that goes wrong."""

    def __init__(self, actor: int, choice: Any, why: str) -> None:
        super().__init__(why)
        self.actor, self.choice, self.why = actor, choice, why


def explore(
    world: World,
    is_weak: bool = False,
    weakened: Weakened | None = None,
    rewrite: Rewrite | None = None,
    reduce: bool = True,
    most_states: int = 1_000_000,
) -> Explored:
    """Try all schedules. `reduce=False` takes each operation as a step of its own and leaves no order out.

    >>> from dualpipe_ref.comm.protocol.ring import ring_world
    >>> explore(ring_world(messages=3, size=2)).kind
    'finished'
    >>> print(explore(ring_world(messages=1, size=1, parts=1), weakened=Weakened("ring.sender.tail", None)))
    wrong after ... states: ring.receiver.slot: slot [0].0 is read empty where message 0 should be
      sender: sees head at 0 or more  [ring.sender.credit]
      sender: writes message 0 m0 to slot [0].0  [ring.sender.slot]
      sender: stores 1 in tail  [ring.sender.tail]
      receiver: sees tail = 1  [ring.receiver.tail]
      receiver: reads slot [0].0: nothing  [ring.receiver.slot]
    """
    explorer = Explorer(world, is_weak, weakened, rewrite, reduce)
    first = explorer.first
    came_from: dict[State, tuple[State, int, Any] | None] = {first: None}
    todo, ends = deque([first]), 0

    def ended(kind: str, why: str, state: State, last: tuple[int, Any] | None = None) -> Explored:
        path = [] if last is None else [last]
        while (before := came_from[state]) is not None:
            state, actor, choice = before
            path.append((actor, choice))
        return Explored(kind, why, len(came_from), ends, explorer.events(path[::-1]))

    while todo:
        state = todo.popleft()
        try:
            moves = explorer.moves(state)
        except Stopped as stopped:
            return ended("wrong", stopped.why, state, (stopped.actor, stopped.choice))
        if not moves:
            kind, why = _judged(explorer, state)
            if kind != "finished":
                return ended(kind, why, state)
            ends += 1
        for move in moves:
            if move.state not in came_from:
                came_from[move.state] = (state, move.actor, move.choice)
                todo.append(move.state)
        if len(came_from) > most_states:
            return Explored("unfinished", f"more than {most_states} states", len(came_from), ends)
    return Explored("finished", "every schedule comes to its end", len(came_from), ends)


def _judged(explorer: Explorer, state: State) -> tuple[str, str]:
    """What a state is in which nobody can move."""
    stuck = [
        (at, operation)
        for at in range(len(explorer.locals))
        if (operation := explorer.operation(state, at)) is not None
    ]
    if stuck:
        return "deadlock", waits(explorer.world, stuck)
    explorer.memory.state = state[1]
    wrong = explorer.world.check(explorer.memory.records())
    return ("finished", "") if wrong is None else ("wrong", wrong)
