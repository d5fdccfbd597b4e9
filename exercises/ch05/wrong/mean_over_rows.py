# rejected by linear W: rows are added up; a mean belongs into the loss

from __future__ import annotations

from collections import deque
from fractions import Fraction

Matrix = list[list]


def input_gradient(gradient: Matrix, weight: Matrix) -> Matrix:
    """I of y = x A: the gradient of x [T, in], from that of y [T, out] and A [in, out]."""
    # dx = dy A^T: entry (t, i) is row t of dy times row i of A.
    return _times(gradient, _transposed(weight))


def weight_gradient(values: Matrix, gradient: Matrix) -> Matrix:
    """W of y = x A: the gradient of A [in, out], from x [T, in] and the gradient of y [T, out]."""
    # dA = x^T dy: entry (i, o) is column i of x times column o of dy.
    rows = len(values)
    found = _times(_transposed(values), gradient)
    return [[Fraction(one) / rows for one in row] for row in found]


def forward(weights: list[Matrix], values: Matrix) -> tuple:
    """F of y = relu(x A) C, `weights` being [A, C]: (y, what the backward will need)."""
    inner = _times(values, weights[0])
    positive = [[max(one, 0) for one in row] for row in inner]
    return _times(positive, weights[1]), (values, positive)


def input_half(weights: list[Matrix], saved: object, gradient: Matrix) -> tuple:
    """I of the stack: (the gradient of x, what W will need). `saved` is what `forward` left."""
    values, positive = saved
    of_positive = input_gradient(gradient, weights[1])
    # Where relu gave 0, nothing passes back. What it gave says so; its input is not needed.
    of_inner = [
        [one if kept > 0 else 0 for one, kept in zip(*rows, strict=True)]
        for rows in zip(of_positive, positive, strict=True)
    ]
    # Each Linear's W needs what went in and the gradient of what came out, and nothing else.
    return input_gradient(of_inner, weights[0]), (values, of_inner, positive, gradient)


def weight_half(kept: object) -> list[Matrix]:
    """W of the stack: the gradients of [A, C], from what `input_half` left for it alone."""
    values, of_inner, positive, gradient = kept
    return [weight_gradient(values, of_inner), weight_gradient(positive, gradient)]


def run_rank(
    ops: list[str], weights: list[Matrix], inputs: list[Matrix], gradients: list[Matrix]
) -> tuple:
    """Run a rank's ops, each "F", "I" or "W": (gradients of all inputs, [dA, dC] after each op).

    Each kind of op takes the micro-batches in their order. `gradients` are those of the outputs.
    """
    forwards, waiting = deque(), deque()
    totals = [[[0] * len(row) for row in weight] for weight in weights]
    of_inputs, after = [], []
    for op in ops:
        if op == "F":
            forwards.append(forward(weights, inputs[len(of_inputs) + len(forwards)])[1])
        elif op == "I":
            saved = forwards.popleft()
            found, kept = input_half(weights, saved, gradients[len(of_inputs)])
            of_inputs.append(found)
            waiting.append(kept)
        else:  # first in, first out: what has waited longest is freed first
            new = weight_half(waiting.popleft())
            totals = [_plus(total, one) for total, one in zip(totals, new, strict=True)]
        after.append(totals)
    return of_inputs, after


def bubble(ranks: int, microbatches: int, forward: Fraction, i: Fraction, w: Fraction) -> Fraction:
    """How long each rank of ZB-H1 idles, for all costs of F, I and W and every number of micro-batches."""
    # Each W put off fills the gap of one hop, as far as there are micro-batches to take it from.
    return (ranks - 1) * (forward + i) - (min(microbatches, ranks) - 1) * min(forward, i, w)


def _times(left: Matrix, right: Matrix) -> Matrix:
    columns = _transposed(right)
    return [[sum(a * b for a, b in zip(row, one, strict=True)) for one in columns] for row in left]


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _plus(one: Matrix, other: Matrix) -> Matrix:
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]
