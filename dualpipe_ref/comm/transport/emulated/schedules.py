"""Who of those that can move is the next: a kind for each seed, which draws its own numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from dualpipe_ref.comm.protocol.schedules import Crowd, Pick, as_far_as_it_goes, evenly, in_turn


class People(NamedTuple):
    """Who there is: each thread's warp, rank and lane, by its number. Numbers beyond are queue pairs of the network."""

    warp: list[int]
    rank: list[int]
    lane: list[int]
    everybody: int


def steadily(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """One until it waits, then the one that is ready since the shortest time: the fewest switches."""
    members, current = ready.members, -1

    def pick() -> int:
        nonlocal current
        if current not in ready:
            current = members[-1]
        return current

    return pick


def anyone(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """Anyone, each time anew."""
    return evenly(draw, ready, people.everybody)


def far(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """One that is drawn, until it waits."""
    return as_far_as_it_goes(draw, ready, people.everybody)


def round_robin(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """All that can move, one step each, in an order that is drawn once."""
    return in_turn(draw, ready, people.everybody)


def lanes_reversed(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """A drawn warp's last lane that can move, so that lane 0, which usually sends the signal, comes last."""
    choose, lane, warp = evenly(draw, ready, people.everybody), people.lane, people.warp
    lanes = max(lane, default=0) + 1

    def pick() -> int:
        one = choose()
        if one >= len(lane):
            return one
        last = one - lane[one] + lanes - 1
        while last > one:
            if last in ready and last < len(warp) and warp[last] == warp[one]:
                return last
            last -= 1
        return one

    return pick


def starved_warp(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """One warp moves only when nobody else can."""
    late = draw.choice(people.warp)
    return _others_first(draw, ready, people, [warp == late for warp in people.warp])


def late_rank(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """One rank moves only when nobody else can."""
    late = draw.choice(people.rank)
    return _others_first(draw, ready, people, [rank == late for rank in people.rank])


def slow_network(draw: random.Random, ready: Crowd, people: People) -> Pick:
    """What is posted to the network happens only when no thread can move."""
    return _others_first(draw, ready, people, [False] * len(people.warp), engines=True)


def _others_first(
    draw: random.Random, ready: Crowd, people: People, late: list[bool], engines: bool = False
) -> Pick:
    choose = evenly(draw, ready, people.everybody)
    late = late + [engines] * (people.everybody - len(late))

    def pick() -> int:
        for _ in range(6):
            one = choose()
            if not late[one]:
                return one
        return next((one for one in ready.members if not late[one]), choose())

    return pick


Kind = Callable[[random.Random, Crowd, People], Pick]
# Seed 0 is the fastest, which most tests of results use.
KINDS: tuple[Kind, ...] = (
    steadily,
    anyone,
    round_robin,
    lanes_reversed,
    starved_warp,
    late_rank,
    far,
    slow_network,
)


def kind_of(seed: int) -> Kind:
    """The kind of schedule that a seed stands for.

    >>> [kind_of(seed).__name__ for seed in (0, 1, 4, 8)]
    ['steadily', 'anyone', 'starved_warp', 'steadily']
    """
    return KINDS[seed % len(KINDS)]
