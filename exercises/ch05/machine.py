"""The stack y = relu(x A) C in exact numbers, and its gradients by another road than the exercise's: dual numbers.

Each entry of x, A and C in turn gets a slope of 1, and the slopes of all outputs, weighted with the gradient that comes
in, are that entry's gradient. No backward is run, so nothing of it can be wrong in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.schedule import OpKind, Schedule, build

Number = int | Fraction
Matrix = list[list[Number]]


class Dual(NamedTuple):
    """A value and its slope."""

    value: Number
    slope: Number

    def relu(self) -> Dual:
        return self if self.value > 0 else Dual(0, 0)


@dataclass(frozen=True)
class Case:
    """A stack [in, inner, out], and micro-batches of T rows each with the gradients of their outputs."""

    weights: list[Matrix]
    inputs: list[Matrix]
    gradients: list[Matrix]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, in, inner, out."""
        first, second = self.weights
        return len(self.inputs[0]), len(first), len(second), len(second[0])

    def __str__(self) -> str:
        rows, *widths = self.shape
        return f"T = {rows}, widths {' -> '.join(map(str, widths))}"


def case_of(rows: int, widths: tuple[int, int, int], microbatches: int, seed: int) -> Case:
    """The same numbers every time: small ints, zeros among them, and with an odd seed halves and thirds."""
    draw = random.Random(f"{rows} {widths} {microbatches} {seed}")

    def matrix(height: int, width: int) -> Matrix:
        return [
            [Fraction(draw.randint(-3, 3), draw.randint(1, 3) if seed % 2 else 1) for _ in range(width)]
            for _ in range(height)
        ]  # fmt: skip

    def plain(one: Matrix) -> Matrix:
        return one if seed % 2 else [[int(number) for number in row] for row in one]

    entering, inner, leaving = widths
    weights = [plain(matrix(entering, inner)), plain(matrix(inner, leaving))]
    inputs = [plain(matrix(rows, entering)) for _ in range(microbatches)]
    gradients = [plain(matrix(rows, leaving)) for _ in range(microbatches)]
    return Case(weights, inputs, gradients)


def outputs(first: Matrix, second: Matrix, values: Matrix) -> Matrix:
    """relu(x A) C."""
    found = _stack(*([[[Dual(n, 0) for n in row] for row in m] for m in (first, second, values)]))
    return [[one.value for one in row] for row in found]


def gradient_of(case: Case, microbatch: int, which: int) -> Matrix:
    """Of A (0), C (1) or the input (2) of one micro-batch."""
    matrices = [*case.weights, case.inputs[microbatch]]
    arriving = case.gradients[microbatch]

    def of_entry(row: int, column: int) -> Number:
        duals = [
            [
                [Dual(n, int((place, r, c) == (which, row, column))) for c, n in enumerate(line)]
                for r, line in enumerate(matrix)
            ]
            for place, matrix in enumerate(matrices)
        ]
        found = _stack(*duals)
        return sum(
            one.slope * weight
            for of_row, weights in zip(found, arriving, strict=True)
            for one, weight in zip(of_row, weights, strict=True)
        )

    shaped = matrices[which]
    return [[of_entry(r, c) for c in range(len(shaped[0]))] for r in range(len(shaped))]


def _stack(first: list, second: list, values: list) -> list[list[Dual]]:
    inner = [[one.relu() for one in row] for row in _product(values, first)]
    return _product(inner, second)


def _product(left: list, right: list) -> list[list[Dual]]:
    return [
        [
            Dual(
                sum(a.value * b.value for a, b in zip(row, column, strict=True)),
                sum(a.value * b.slope + a.slope * b.value for a, b in zip(row, column, strict=True)),
            )
            for column in zip(*right, strict=True)
        ]
        for row in left
    ]  # fmt: skip


def count(kept: object) -> int:
    """How many numbers some plain data holds; None and bool are none."""
    if isinstance(kept, dict):
        return sum(count(key) + count(value) for key, value in kept.items())
    if isinstance(kept, list | tuple):
        return sum(map(count, kept))
    if isinstance(kept, str):
        return len(kept)
    return int(type(kept) in (int, float, Fraction))


def ranks_to_run() -> Iterator[tuple[Schedule, int, list[str], Case]]:
    """ZB-H1's ranks, smallest first: schedule, rank, its ops by kind, and a stack to run them on."""
    for ranks, microbatches in ((2, 1), (2, 2), (2, 3), (3, 2), (3, 4), (4, 4), (4, 6)):
        schedule = build("zb-h1", ranks, microbatches)
        for rank, ops in enumerate(schedule.ops):
            kinds = [str(op.kind) for op in ops]
            assert set(kinds) == {str(OpKind.F), str(OpKind.I), str(OpKind.W)}
            yield schedule, rank, kinds, case_of(2, (2, 3, 2), microbatches, rank)
