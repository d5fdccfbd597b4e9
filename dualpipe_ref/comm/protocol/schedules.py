"""Five kinds of adversarial schedule: who of those that can move is the next."""

from __future__ import annotations

import random
from collections.abc import Callable

Pick = Callable[[], int]


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


def evenly(draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """Anyone, each time anew."""
    members = ready.members
    return lambda: members[int(draw.random() * len(members))]


def as_far_as_it_goes(draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """One until it waits, then another."""
    anyone, current = evenly(draw, ready, everybody), -1

    def pick() -> int:
        nonlocal current
        if current not in ready:
            current = anyone()
        return current

    return pick


def starving(draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """Some of the roles and queues move only when no other can."""
    share = draw.choice([0.1, 0.3, 0.5])
    starved = {one for one in range(everybody) if draw.random() < share}
    anyone = evenly(draw, ready, everybody)

    def pick() -> int:
        for _ in range(12):
            one = anyone()
            if one not in starved:
                return one
        return next((one for one in ready.members if one not in starved), anyone())

    return pick


def in_turn(draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """All that can move, one step each, in an order that is drawn once."""
    rank = _shuffled(draw, everybody)
    turn: list[int] = []

    def pick() -> int:
        while turn:
            one = turn.pop()
            if one in ready:
                return one
        turn.extend(sorted(ready.members, key=rank.__getitem__))
        return turn.pop()

    return pick


def by_rank(draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """Always the first in an order that is drawn once: the others move only while it waits."""
    rank = _shuffled(draw, everybody)
    return lambda: min(ready.members, key=rank.__getitem__)


def _shuffled(draw: random.Random, count: int) -> list[int]:
    order = list(range(count))
    draw.shuffle(order)
    return order


KINDS = (evenly, as_far_as_it_goes, starving, in_turn, by_rank)


def picker(seed: int, draw: random.Random, ready: Crowd, everybody: int) -> Pick:
    """The kind of schedule that a seed stands for, which draws from `draw`."""
    return KINDS[seed % len(KINDS)](draw, ready, everybody)
