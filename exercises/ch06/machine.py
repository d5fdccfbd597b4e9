"""Ranks that meet, stage by stage, to sum gradients: each waits until the other is there for the same stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from dualpipe_ref.schedule import Placement

Meeting = tuple[int, int]  # stage, the other rank
Routes = list[list[int]]


class Task(NamedTuple):
    """`routes[direction][stage]` is the rank that holds it; what the routes are, in words."""

    routes: Routes
    words: str

    @property
    def ranks(self) -> int:
        return len(self.routes[0])

    def __str__(self) -> str:
        return f"P = {self.ranks}, {self.words}"

    def partner(self, rank: int, stage: int) -> int | None:
        """Who holds the other copy of a stage; None where this rank has none, or both."""
        holders = [route[stage] for route in self.routes]
        if rank not in holders or holders[0] == holders[1]:
            return None
        return holders[1 - holders.index(rank)]

    def due(self, rank: int) -> list[Meeting]:
        """All meetings of a rank, in no order that matters."""
        partners = ((stage, self.partner(rank, stage)) for stage in range(self.ranks))
        return [(stage, other) for stage, other in partners if other is not None]


def tasks() -> Iterator[Task]:
    """Mirrored copies, then copies that are dealt to the ranks in any way; the same ones every time."""
    for ranks in range(2, 9):
        placement = Placement.bidirectional(ranks)
        yield Task([[rank for rank, _ in route] for route in placement.routes], "mirrored")
    draw = random.Random(6)
    for ranks in range(3, 11):
        for _ in range(6):
            routes = [draw.sample(range(ranks), ranks) for _ in range(2)]
            yield Task(routes, f"routes = {routes}")


def left_over(programs: list[list[Meeting]]) -> list[list[Meeting]]:
    """What each rank has not done when nobody can go on: nothing, where all reach their end.

    >>> left_over([[(0, 1), (1, 1)], [(0, 0), (1, 0)]])
    [[], []]
    >>> left_over([[(0, 1), (1, 1)], [(1, 0), (0, 0)]])
    [[(0, 1), (1, 1)], [(1, 0), (0, 0)]]
    """
    left = [list(program) for program in programs]
    moved = True
    while moved:
        moved = False
        for rank, program in enumerate(left):
            while program and left[program[0][1]][:1] == [(program[0][0], rank)]:
                left[program.pop(0)[1]].pop(0)
                moved = True
    return left
