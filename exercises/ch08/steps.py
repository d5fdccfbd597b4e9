"""Steps as plain data: read them, say which comes too early, and run them on two streams of a device.

A step is ("run", part, kind, layer) for a computation, ("start", ...) and ("wait", ...) for an all-to-all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from reprlib import repr as short
from typing import NamedTuple

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Fault
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, PairRun, Part, Piece, needs

NAME = "overlapped_forward_backward"
ACTIONS = {Lane.COMPUTE: ("run",), Lane.NETWORK: ("start", "wait")}
PARTS = {str(part): part for part in Part}
KINDS = {str(kind): kind for kind in (OpKind.F, OpKind.I, OpKind.W)}


class Step(NamedTuple):
    """One step, as the device gets it."""

    action: str
    piece: Piece

    def __str__(self) -> str:
        return f"{self.action} {self.piece}"


def ask(answer: Answer, layers: int) -> list[Step]:
    """The reader's steps. Raises `Fault` for what is no list of steps of this many layers."""
    given = call(answer, NAME, layers)
    if not isinstance(given, list | tuple):
        raise Fault(f"layers = {layers}: {short(given)} is no list of steps")
    wanted = needs(layers)
    return [to_step(item, wanted, place, layers) for place, item in enumerate(given)]


def to_step(
    item: object, wanted: Mapping[Piece, Piece | None], place: int = 0, layers: int = 1
) -> Step:
    """The step that this plain data means. Raises `Fault` where it means none.

    >>> print(to_step(["start", "dispatch", "F", 0], needs(1)))
    start dispatch(F) of layer 0
    >>> to_step(("run", "dispatch", "F", 0), needs(1))
    Traceback (most recent call last):
    dualpipe_ref.grading.checks.Fault: layers = 1: step 0: dispatch is an all-to-all: start it, and wait for it
    """
    where = f"layers = {layers}: step {place}: "
    if not isinstance(item, list | tuple) or [type(part) for part in item] != [str, str, str, int]:
        raise Fault(
            f"{where}{short(item)} is no step: write (action, part, kind, layer), such as ('run', 'MLP', 'F', 0)"
        )
    action, part, kind, layer = item
    if part not in PARTS or kind not in KINDS:
        raise Fault(f"{where}{short(item)} names no piece: {', '.join(PARTS)}; {', '.join(KINDS)}")
    piece = Piece(PARTS[part], KINDS[kind], layer)
    if piece not in wanted:
        raise Fault(f"{where}there is no {piece} in a pair of {layers} layers")
    if action not in ACTIONS[piece.lane]:
        what = "an all-to-all: start it, and wait for it"
        raise Fault(
            f"{where}{part} is {what if piece.lane is Lane.NETWORK else 'a computation: run it'}"
        )
    return Step(action, piece)


def begun(steps: Sequence[Step]) -> list[Piece]:
    """The pieces in the order in which the steps begin them."""
    return [step.piece for step in steps if step.action != "wait"]


def too_early(steps: Sequence[Step], layers: int) -> tuple[int, Step] | None:
    """The first step whose input is not there: (its place, the step that must come before it)."""
    done: set[Step] = set()
    wanted = needs(layers)
    for place, step in enumerate(steps):
        before = wanted[step.piece]
        needed = before and Step("wait" if before.lane is Lane.NETWORK else "run", before)
        if step.action == "wait":
            needed = Step("start", step.piece)
        if needed and needed not in done:
            return place, needed
        done.add(step)
    return None


def timed(steps: Sequence[Step], costs: LaneCosts) -> PairRun:
    """The steps on two streams. Each all-to-all begins after the computations that stand before its start.

    >>> steps = [to_step(item, needs(1)) for item in (("start", "combine", "I", 0), ("run", "attention", "F", 0),
    ...          ("wait", "combine", "I", 0), ("run", "MLP", "I", 0))]
    >>> run = timed(steps, LaneCosts(combine=2))
    >>> [(str(piece.part), *span) for piece, span in run.spans.items()]
    [('combine', 0, 2), ('attention', 0, 1), ('MLP', 2, 3)]
    """
    spans: dict[Piece, tuple[Number, Number]] = {}
    compute: Number = 0
    network: Number = 0
    for action, piece in steps:
        if action == "run":
            spans[piece] = (compute, compute + costs.of(piece))
            compute = spans[piece][1]
        elif action == "start":
            begin = max(compute, network)
            spans[piece] = (begin, begin + costs.of(piece))
            network = spans[piece][1]
        elif piece in spans:
            compute = max(compute, spans[piece][1])
    return PairRun(spans)
