"""What an answer to chapter 5 must do: both halves of a backward, each alone, in exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.numbers import in_words, is_close
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import Costs, simulate

from .machine import Case, Matrix, case_of, count, gradient_of, outputs, ranks_to_run

SHAPES = (
    *((rows, widths) for rows in (1, 2, 3) for widths in ((1, 1, 1), (2, 2, 2), (2, 3, 1))),
    *((rows, widths) for rows in (1, 2) for widths in ((3, 1, 4), (4, 4, 4), (1, 4, 2))),
)
CASES = [case_of(rows, widths, 1, seed) for rows, widths in SHAPES for seed in range(3)]
SIZES = [(ranks, m) for ranks in (2, 3, 4, 6, 8) for m in (1, 2, 3, 4, 6, 8, 12, 20)]
# (F, I, W): equal, usual, a long W, a short I, a short F, odd ones.
COSTS = (
    *((1, 1, 1), (2, 2, 1), (1, 1, 2), (3, 1, 2), (1, 3, 2), (1, 2, Fraction(1, 2))),
    (Fraction(7, 5), Fraction(1, 3), Fraction(22, 9)),
)


def shown(matrix: object) -> str:
    return str(matrix).replace("Fraction", "") if count(matrix) < 20 else short(matrix)


def is_matrix(said: object, right: Matrix) -> bool:
    """Whether it has just these rows of just these numbers."""
    return (
        isinstance(said, list | tuple)
        and len(said) == len(right)
        and all(
            isinstance(row, list | tuple)
            and len(row) == len(wanted)
            and all(is_close(a, Fraction(b)) for a, b in zip(row, wanted, strict=True))
            for row, wanted in zip(said, right, strict=True)
        )
    )


def _times(left: Matrix, right: Matrix) -> Matrix:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)]
        for row in left
    ]  # fmt: skip


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def of_input(answer: Answer) -> str | None:
    for case in CASES:
        dy, weight = case.gradients[0], case.weights[1]
        said, right = call(answer, "input_gradient", dy, weight), _times(dy, _transposed(weight))
        if not is_matrix(said, right):
            given = f"dy = {shown(dy)}, A = {shown(weight)}"
            return f"{case}: {given}: you say {shown(said)}, dx is {shown(right)}"
    return None


def of_weight(answer: Answer) -> str | None:
    for case in CASES:
        x, dy = case.inputs[0], case.gradients[0]
        said, right = call(answer, "weight_gradient", x, dy), _times(_transposed(x), dy)
        if not is_matrix(said, right):
            given = f"x = {shown(x)}, dy = {shown(dy)}"
            return f"{case}: {given}: you say {shown(said)}, dA is {shown(right)}"
    return None


def halves(answer: Answer, case: Case) -> tuple[Any, Any, Any, Any]:
    """Output, gradient of the input, what is kept for W, and W's gradients, of the first micro-batch."""
    made = _pair(call(answer, "forward", case.weights, case.inputs[0]), "forward", case)
    found = call(answer, "input_half", case.weights, made[1], case.gradients[0])
    found = _pair(found, "input_half", case)
    weights = call(answer, "weight_half", found[1])
    if not isinstance(weights, list | tuple) or len(weights) != 2:
        raise Fault(f"{case}: weight_half returns {short(weights)}, not the gradients of [A, C]")
    return made[0], found[0], found[1], weights


def _pair(said: Any, name: str, case: Case) -> Any:
    if not isinstance(said, list | tuple) or len(said) != 2:
        raise Fault(f"{case}: {name} returns {short(said)}, not a pair")
    return said


def stack(answer: Answer) -> str | None:
    for case in CASES:
        output, of_x, _, (of_first, of_second) = halves(answer, case)
        for name, said, right in (
            ("y", output, outputs(*case.weights, case.inputs[0])),
            ("dx", of_x, gradient_of(case, 0, 2)),
            ("dA", of_first, gradient_of(case, 0, 0)),
            ("dC", of_second, gradient_of(case, 0, 1)),
        ):
            if not is_matrix(said, right):
                given = f"x = {shown(case.inputs[0])}, [A, C] = {shown(case.weights)}, dy = {shown(case.gradients[0])}"
                return f"{case}: {given}: your {name} is {shown(said)}, it is {shown(right)}"
    return None


def kept(answer: Answer) -> str | None:
    """What waits for W is no more than both inputs and both gradients of outputs."""
    for case in CASES:
        rows, entering, inner, leaving = case.shape
        most = rows * (entering + inner + inner + leaving)
        found = count(halves(answer, case)[2])
        if found > most:
            parts = f"{rows} x ({entering} + {inner} + {inner} + {leaving}) = {most}"
            return f"{case}: I leaves {found} numbers for W, which needs no more than {parts}"
    return None


def _run(
    answer: Answer, schedule: Schedule, rank: int, kinds: list[str], case: Case
) -> tuple[Any, Any]:
    try:
        said = call(answer, "run_rank", kinds, case.weights, case.inputs, case.gradients)
        of_inputs, after = _pair(said, "run_rank", case)
    except Fault as fault:
        raise _fault(schedule, rank, 0, str(fault)) from None
    if not isinstance(after, list | tuple) or len(after) != len(kinds):
        what = f"run_rank says {short(after)} of {len(kinds)} ops"
        raise _fault(schedule, rank, len(kinds) - 1, what)
    return of_inputs, after


def _fault(schedule: Schedule, rank: int, place: int, what: str) -> Fault:
    size = f"P = {schedule.ranks}, m = {schedule.microbatches}"
    reason = f"rank {rank}, {schedule.ops[rank][place]} (op {place}): {what}"
    return Fault(f"{size}: {reason}", Counterexample.at(schedule, [(rank, place)], reason))


def untouched(answer: Answer) -> Fault | None:
    """An F or an I leaves the weights' gradients as they are."""
    for schedule, rank, kinds, case in ranks_to_run():
        before: Any = [[[0] * len(row) for row in weight] for weight in case.weights]
        after = _run(answer, schedule, rank, kinds, case)[1]
        for place, (kind, now) in enumerate(zip(kinds, after, strict=True)):
            if kind != "W" and not _are(now, before):
                what = f"the gradients of the weights were {shown(before)} and are {shown(now)}"
                return _fault(schedule, rank, place, what)
            before = now
    return None


def _are(said: Any, right: Any) -> bool:
    return (
        isinstance(said, list | tuple)
        and isinstance(right, list | tuple)
        and len(said) == len(right)
        and all(
            isinstance(b, list | tuple) and is_matrix(a, b)
            for a, b in zip(said, right, strict=True)
        )
    )


def queue(answer: Answer) -> Fault | None:
    """Inputs' gradients in order, and each W adds those of the micro-batch that has waited longest."""
    for schedule, rank, kinds, case in ranks_to_run():
        of_inputs, after = _run(answer, schedule, rank, kinds, case)
        right: list[Any] = [[[0] * len(row) for row in weight] for weight in case.weights]
        inputs_done = weights_done = 0
        for place, (kind, now) in enumerate(zip(kinds, after, strict=True)):
            if kind == "I":
                wanted = gradient_of(case, inputs_done, 2)
                if len(of_inputs) <= inputs_done or not is_matrix(of_inputs[inputs_done], wanted):
                    what = f"the gradient of input {inputs_done} is not {shown(wanted)}"
                    return _fault(schedule, rank, place, what)
                inputs_done += 1
            elif kind == "W":
                new = [gradient_of(case, weights_done, which) for which in (0, 1)]
                right = [_plus(total, one) for total, one in zip(right, new, strict=True)]
                if not _are(now, right):
                    what = f"after it [dA, dC] are {shown(now)}, with micro-batch {weights_done} they are {shown(right)}"
                    return _fault(schedule, rank, place, what)
                weights_done += 1
    return None


def _plus(one: Matrix, other: Matrix) -> Matrix:
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]


def bubbles(*, published: bool) -> Callable[[Answer], Fault | None]:
    """A check: the simulator's idle time, where the published formula holds, or for all costs."""

    def find_fault(answer: Answer) -> Fault | None:
        for (ranks, m), (f, i, w) in product(SIZES, COSTS):
            if published and not (m >= ranks and w <= min(f, i)):
                continue
            costs = Costs(Fraction(f), Fraction(i), Fraction(w))
            schedule = build("zb-h1", ranks, m)
            (right,) = set(simulate(schedule, costs).idle)
            said = call(answer, "bubble", ranks, m, costs.F, costs.I, costs.W)
            if not is_close(said, Fraction(right)):
                what = f"F = {f}, I = {i}, W = {w}: you say {in_words(said)}, each rank idles for {in_words(Fraction(right))}"
                case = Counterexample.at(schedule, (), what, costs)
                return Fault(f"P = {ranks}, m = {m}, {what}", case)
        return None

    return find_fault


CHECKS = (
    Check(
        "linear I",
        "the gradient of a Linear's input is dy A^T",
        of_input,
        points=1,
        hint="the shape decides: [T, out] times what is [T, in]?",
    ),
    Check(
        "linear W",
        "the gradient of a Linear's weight is x^T dy",
        of_weight,
        points=1,
        hint="each row of the batch adds one product to each entry: sum over the rows",
    ),
    Check(
        "stack",
        "output and all gradients of the stack are exact, W knowing only what I left",
        stack,
        points=2,
        hint="dy goes through C, then through relu, then through A; what arrives at each Linear is what its W needs",
    ),
    Check(
        "kept",
        "I leaves no more for W than each Linear's input and the gradient of its output",
        kept,
        needs=("stack",),
        points=1,
        hint="neither weights nor their gradients wait; and nothing that W can do without",
    ),
    Check(
        "untouched",
        "neither F nor I changes a gradient of a weight",
        untouched,
        points=1,
        hint="add in W alone; and return a copy of what was there after each op, not one list that goes on changing",
    ),
    Check(
        "queue",
        "each W adds the micro-batch that has waited longest, and nothing is lost at the end",
        queue,
        needs=("untouched",),
        points=2,
        hint="two queues: what F left for I, and what I left for W; append on one side, take from the other",
    ),
    Check(
        "published bubble",
        "ZB-H1's bubble where W is no longer than F and I, and m is at least P",
        bubbles(published=True),
        points=1,
        hint="(P - 1)(F + B - 2W) with B = I + W",
    ),
    Check(
        "exact bubble",
        "ZB-H1's bubble for all costs and every m",
        bubbles(published=False),
        needs=("published bubble",),
        points=1,
        hint="a W fills a gap no wider than itself, than the F and than the I that are waited for; with m < P fewer gaps are filled",
    ),
)
