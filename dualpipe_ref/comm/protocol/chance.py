"""How likely a run is to show a mistake, if each step is taken by anyone who can move, all equally likely.

Not sampled: the chance of every state is added up, step by step, in exact fractions.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.comm.protocol.run import Rewrite
from dualpipe_ref.comm.protocol.stepping import Explorer, State, Stopped
from dualpipe_ref.comm.protocol.world import World


class Chance(NamedTuple):
    """The chance that a run is found wrong, that it deadlocks, and the most steps that a run takes."""

    wrong: Fraction
    deadlock: Fraction
    steps: int


def chance(world: World, rewrite: Rewrite | None = None) -> Chance:
    """The chance of each end under even scheduling, every operation at once for everybody.

    >>> from dualpipe_ref.comm.protocol import ring_world
    >>> from dualpipe_ref.comm.protocol.rewrites import without
    >>> chance(ring_world(messages=4, size=2)).wrong
    Fraction(0, 1)
    >>> print(chance(ring_world(messages=3, size=2), without("ring.sender.credit")).wrong)
    17/64
    """
    explorer = Explorer(world, False, None, rewrite, reduce=False)
    reached: dict[State, Fraction] = {explorer.first: Fraction(1)}
    wrong = deadlock = Fraction(0)
    steps = 0
    while reached:
        after: dict[State, Fraction] = defaultdict(Fraction)
        for state, likely in reached.items():
            ways = _ways(explorer, state)
            if not ways:
                stuck = any(
                    explorer.operation(state, at) is not None for at in range(len(state[0]))
                )
                deadlock += likely * stuck
                wrong += likely * (not stuck and _is_refused(explorer, state))
            for following, share in ways:
                if following is None:
                    wrong += likely * share
                else:
                    after[following] += likely * share
        reached = after
        steps += bool(after)
    return Chance(wrong, deadlock, steps)


def _ways(explorer: Explorer, state: State) -> list[tuple[State | None, Fraction]]:
    """Each next state with its chance; None for a step that goes wrong."""
    found: list[list[State | None]] = []
    for actor in range(len(state[0])):
        if explorer.operation(state, actor) is None:
            continue
        try:
            moves = explorer.step(state, actor)[0]
        except Stopped:
            found.append([None])
        else:
            if moves:
                found.append([move.state for move in moves])
    return [(one, Fraction(1, len(found) * len(each))) for each in found for one in each]


def _is_refused(explorer: Explorer, state: State) -> bool:
    explorer.memory.state = state[1]
    return explorer.world.check(explorer.memory.records()) is not None
