"""All schedules of a small protocol: every state that some interleaving reaches, breadth first.

A deadlock is found exactly (no role can move, not all are done), as is everything that a role or the oracle calls
wrong. The schedule that is shown is a shortest one (of those that the reduction leaves), without the steps that cannot
have led to its end. For large sizes there is `run`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.run import Rewrite, waits
from dualpipe_ref.comm.protocol.sites import Weakened
from dualpipe_ref.comm.protocol.stepping import Explorer, State, Stopped
from dualpipe_ref.comm.protocol.trace import Event
from dualpipe_ref.comm.protocol.world import World


class Explored(NamedTuple):
    """What an exploration found: `finished` (nothing wrong), `deadlock`, `wrong`, or `unfinished` at the limit.

    `results` counts the different records that schedules end with: 1 where the result does not depend on timing.
    """

    kind: str
    why: str
    states: int
    results: int
    trace: tuple[Event, ...] = ()

    @property
    def is_right(self) -> bool:
        return self.kind == "finished"

    def __str__(self) -> str:
        lines = [f"{self.kind} after {self.states} states: {self.why}"]
        return "\n".join([*lines, *(f"  {event}" for event in self.trace)])


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
    todo = deque([first])
    results: set[tuple[Any, ...]] = set()

    def ended(
        kind: str, why: str, state: State, actors: set[int], last: tuple[int, Any] | None = None
    ) -> Explored:
        path = [] if last is None else [last]
        while (before := came_from[state]) is not None:
            state, actor, choice = before
            path.append((actor, choice))
        trace = explorer.events(path[::-1], actors)
        return Explored(kind, why, len(came_from), len(results), trace)

    while todo:
        state = todo.popleft()
        try:
            moves = explorer.moves(state)
        except Stopped as stopped:
            last = stopped.actor, stopped.choice
            return ended("wrong", stopped.why, state, {stopped.actor}, last)
        if not moves:
            kind, why = _judged(explorer, state)
            if kind != "finished":
                everybody = range(len(explorer.locals))
                stuck = {at for at in everybody if explorer.operation(state, at) is not None}
                return ended(kind, why, state, stuck or set(everybody))
            results.add(explorer.result(state))
        for move in moves:
            if move.state not in came_from:
                came_from[move.state] = (state, move.actor, move.choice)
                todo.append(move.state)
        if len(came_from) > most_states:
            return Explored(
                "unfinished", f"more than {most_states} states", len(came_from), len(results)
            )
    return Explored("finished", "every schedule comes to its end", len(came_from), len(results))


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
