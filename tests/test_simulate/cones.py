"""The edges of the cones of costs on which DualPipe's closed form is linear, in exact integers.

A set of costs is a vector (F, I, W, B, FB); zeros are allowed here.
"""

# The letters of the formulas.
# ruff: noqa: N803

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

from dualpipe_ref.schedule import Schedule
from dualpipe_ref.simulate import Network, find_formula
from dualpipe_ref.simulate.formula import Case

from .reference import Duration, Reference

Vector = tuple[int, ...]


def determinant(rows: list[Vector]) -> int:
    if not rows:
        return 1
    return sum(
        (-1) ** place * value * determinant([row[:place] + row[place + 1 :] for row in rows[1:]])
        for place, value in enumerate(rows[0])
        if value
    )


def edges(inequalities: list[Vector]) -> set[Vector]:
    """Edges of the cone where every one of these is >= 0: there all but one dimension is used up."""
    found = set()
    for tight in combinations(inequalities, 4):
        normal = tuple(
            (-1) ** place * determinant([row[:place] + row[place + 1 :] for row in tight])
            for place in range(5)
        )
        for edge in (normal, tuple(-number for number in normal)):
            inside = all(dot(edge, row) >= 0 for row in inequalities)
            if any(edge) and inside:
                smallest = min(number for number in edge if number)
                found.add(tuple(Fraction(number, smallest) for number in edge))
    return found  # type: ignore[return-value]


def dot(one: Vector, other: Vector) -> int:
    return sum(a * b for a, b in zip(one, other, strict=True))


def cones(H: int) -> Iterator[list[Vector]]:
    """The closed form's domain, F, I, W >= 0, FB >= F, FB >= B >= I + W, cut into its four parts."""
    domain = [(1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0)]
    domain += [(-1, 0, 0, 0, 1), (0, 0, 0, -1, 1), (0, -1, -1, 1, 0)]
    for first in (1, -1):
        for second in (1, -1):
            yield [*domain, (0, first, -first, 0, 0), (second * H, -second * (H - 1), 0, 0, 0)]


def all_edges(H: int) -> set[Vector]:
    return set().union(*(edges(cone) for cone in cones(H)))


def by_kind(costs: Vector) -> Duration:
    values = dict(zip(("F", "I", "W", "B", "FB"), costs, strict=True))
    return lambda rank, op: values[op.kind]


def run(schedule: Schedule, costs: Vector) -> Reference:
    return Reference(schedule, by_kind(costs), Network())


def closed_form(H: int, n: int, costs: Vector) -> Any:
    case = Case(H, n, 2 * H, 2, 0, H, n, 0, *costs)
    return find_formula("dualpipev", "makespan", "exact")._value(case)
