"""Least squares for values of which only sums of two are known, in exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Matrix = list[list[Fraction]]


def smallest_least_squares(
    pairs: Sequence[tuple[int, int]], sums: Sequence[Fraction], count: int
) -> list[Fraction | None]:
    """Values x with `x[a] + x[b]` as near to the sums as can be; of all such, the smallest in squares.

    None for a value that stands in no pair. Where pairs join values in two camps, one camp may gain what the other
    loses; the smallest solution has none of that shift, and one more equation says so.

    >>> [str(one) for one in smallest_least_squares([(0, 1), (2, 2)], [Fraction(6), Fraction(5)], 4)]
    ['3', '3', '5/2', 'None']
    """
    matrix = [[Fraction(0)] * count for _ in range(count)]
    right = [Fraction(0)] * count
    for (first, second), total in zip(pairs, sums, strict=True):
        for one in (first, second):
            right[one] += total
            matrix[one][first] += 1
            matrix[one][second] += 1
    named = {place for pair in pairs for place in pair}
    for shift in _shifts(pairs, count):
        for one, sign in shift.items():
            for other, other_sign in shift.items():
                matrix[one][other] += sign * other_sign
    solved = _solved(matrix, right)
    return [value if place in named else None for place, value in enumerate(solved)]


def _shifts(pairs: Sequence[tuple[int, int]], count: int) -> list[dict[int, int]]:
    """For each set of values that pairs join, 1 and -1 for its two camps; none where there are not two."""
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for first, second in pairs:
        neighbours[first].add(second)
        neighbours[second].add(first)
    found, seen = [], set[int]()
    for start in range(count):
        if start in seen:
            continue
        camp, waiting = {start: 1}, [start]
        while waiting:
            one = waiting.pop()
            for other in neighbours[one] - camp.keys():
                camp[other] = -camp[one]
                waiting.append(other)
        seen |= camp.keys()
        if all(camp[one] != camp[other] for one in camp for other in neighbours[one]):
            found.append(camp)
    return found


def _solved(matrix: Matrix, right: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan's elimination; the matrix is regular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(len(rows)):
        pivot = next(place for place in range(column, len(rows)) if rows[place][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        leading = rows[column][column]
        rows[column] = [value / leading if value else value for value in rows[column]]
        for place, row in enumerate(rows):
            if place != column and (factor := row[column]):
                rows[place] = [
                    value - factor * other if other else value
                    for value, other in zip(row, rows[column], strict=True)
                ]
    return [row[-1] for row in rows]
