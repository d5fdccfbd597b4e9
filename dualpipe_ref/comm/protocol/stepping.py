"""From one state of a world to the next ones: what the explorer does at each state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.local_states import START, LocalStates
from dualpipe_ref.comm.protocol.operations import Broken, Location, Operation, Record, Take, Wait
from dualpipe_ref.comm.protocol.reduction import (
    Stubborn,
    Touched,
    chooses,
    rides_along,
    touches_again,
)
from dualpipe_ref.comm.protocol.run import Rewrite, memory_of
from dualpipe_ref.comm.protocol.sequential import reached
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.trace import Event, Logged, delivered, event_of, leading_to
from dualpipe_ref.comm.protocol.world import World, footprint

# The local states of all roles, and the memory.
State = tuple[tuple[int, ...], tuple[Any, ...]]


class Move(NamedTuple):
    """One step of one actor: how it chose, and where that leads."""

    actor: int
    choice: Any
    state: State


class Ride(NamedTuple):
    """Where a role stands after what rides along: before which operation, if any, with which ways to go on."""

    local: int
    operation: Operation | None
    options: Sequence[Any]
    touched: Touched


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
        self.log: list[Logged] | None = None

    @property
    def first(self) -> State:
        return (START,) * len(self.locals), self.memory.state

    def operation(self, state: State, actor: int) -> Operation | None:
        return self.locals[actor].operations[state[0][actor]]

    def result(self, state: State) -> tuple[Any, ...]:
        """What all roles have recorded."""
        self.memory.state = state[1]
        records = self.memory.records()
        return tuple(records[one] for one in self.world.locations if one.kind == "record")

    def moves(self, state: State) -> list[Move]:
        """What can come next in this state; raises `Stopped` where that goes wrong."""
        found: dict[int, list[Move]] = {}
        touched: dict[int, Touched] = {}
        blocked: dict[int, Operation] = {}
        for actor in range(len(self.locals)):
            operation = self.operation(state, actor)
            if operation is None:
                continue
            moves, what = self.step(state, actor)
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

    def step(self, state: State, actor: int) -> tuple[list[Move], Touched]:
        """The moves of one role, none where it waits, and what they touch."""
        self.memory.state = state[1]
        ride = self._ride(actor, state[0][actor])
        if ride.operation is not None:
            before, moves = self.memory.state, []
            for choice in ride.options:
                self.memory.state = before
                local = self._perform(actor, ride.local, ride.operation, choice)
                moves.append(Move(actor, choice, self._with(state, actor, local)))
            return moves, ride.touched
        has_moved = ride.local != state[0][actor]
        moves = [Move(actor, None, self._with(state, actor, ride.local))] if has_moved else []
        return moves, ride.touched

    def _ride(self, actor: int, local: int) -> Ride:
        """Go on with what rides along, up to an operation that is a step of its own (or none, where the role waits)."""
        memory, states = self.memory, self.locals[actor]
        memory.changed.clear()
        reads: set[Location] = set()
        writes: set[Location] = set()
        at, options = None, ()
        while (operation := states.operations[local]) is not None:
            if touches_again(operation, reads, writes):
                break
            self._touch(actor, operation, reads, writes)
            options = memory.options(actor, operation)
            if not options:
                break
            if not self._goes_on(operation):
                at = operation
                break
            local = self._perform(actor, local, operation, options[0])
        is_choice = at is not None and chooses(at)
        return Ride(local, at, options, Touched(frozenset(reads), frozenset(writes), is_choice))

    def _goes_on(self, operation: Operation) -> bool:
        if not self.reduce:
            return False
        return type(operation) is Record if self.is_weak else rides_along(operation)

    def _perform(self, actor: int, local: int, operation: Operation, choice: Any) -> int:
        result = self.memory.perform(actor, operation, choice)
        if self.log is not None:
            event = event_of(self.world.roles[actor].name, operation, result)
            reads, writes = footprint(operation)
            self.log.append(Logged(event, actor, frozenset(reads), frozenset(writes)))
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

    def events(self, path: list[tuple[int, Any]], actors: set[int]) -> tuple[Event, ...]:
        """What happens along a path and can have led to where these actors are, the step included that goes wrong."""
        state, self.log = self.first_again(), []
        try:
            for actor, choice in path:
                state = self._again(state, actor, choice)
        except Stopped:
            pass
        log, self.log = self.log, None
        return leading_to(log, actors)

    def first_again(self) -> State:
        fresh = memory_of(self.world, False) if not self.is_weak else type(self.memory)(self.world)
        return (START,) * len(self.locals), fresh.state

    def _again(self, state: State, actor: int, choice: Any) -> State:
        assert self.log is not None
        if actor >= len(self.locals):
            queue = actor - len(self.locals)
            self.memory.state = state[1]
            event, source, target = delivered(self.world.queues[queue], self.memory, choice)
            reads = frozenset() if source is None else frozenset([source])
            self.log.append(Logged(event, actor, reads, frozenset([target])))
            return state[0], self.memory.state
        self.memory.state = state[1]
        ride = self._ride(actor, state[0][actor])
        local = ride.local
        if ride.operation is not None:
            local = self._perform(actor, local, ride.operation, choice)
        return self._with(state, actor, local)


class Stopped(Exception):  # noqa: N818  (a search comes to its end)
    """A step that goes wrong."""

    def __init__(self, actor: int, choice: Any, why: str) -> None:
        super().__init__(why)
        self.actor, self.choice, self.why = actor, choice, why
