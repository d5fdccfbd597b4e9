"""What an answer to chapter 8 must do: compute what it computes without overlap, and hide the all-to-all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, needs, published_order, run_pair

from .case import LanesCase
from .machine import Machine, difference, task_of, without_overlap
from .steps import Step, ask, timed, too_early

LAYERS = (1, 2, 3, 4, 6)
EQUAL = LaneCosts()
HALF = Fraction(1, 2)
# Durations in words, simplest first: communication shorter than computation, as long, and longer.
COSTS = {
    "every part 1": EQUAL,
    "MLP 2, other parts 1": LaneCosts(mlp=2),
    "combine 2, other parts 1": LaneCosts(combine=2),
    "dispatch and combine 3/2, other parts 1": LaneCosts(dispatch=3 * HALF, combine=3 * HALF),
    "dispatch and combine 2, other parts 1": LaneCosts(dispatch=2, combine=2),
    "dispatch 3, attention 2, other parts 1": LaneCosts(dispatch=3, attention=2),
    "attention 3, MLP 1 and its W 1/2, dispatch 2, combine 1": LaneCosts(
        attention=3, mlp=1, mlp_weight=HALF, dispatch=2
    ),
    "combine 1/2, W of attention 2, other parts 1": LaneCosts(combine=HALF, attention_weight=2),
}


def each(answer: Answer) -> Iterator[tuple[int, list[Step]]]:
    for layers in LAYERS:
        yield layers, ask(answer, layers)


def complete(answer: Answer) -> Fault | None:
    """Each computation is run once, each all-to-all started once."""
    for layers, steps in each(answer):
        counted = Counter(steps)
        for piece in needs(layers):
            step = Step("run" if piece.lane is Lane.COMPUTE else "start", piece)
            if counted[step] != 1:
                return Fault(f"layers = {layers}: {step} {_often(counted[step])}")
    return None


def _often(count: int) -> str:
    return {0: "is missing", 2: "is there twice"}.get(count, f"is there {count} times")


def waits(answer: Answer) -> Fault | None:
    """Each all-to-all is waited for once, after its start."""
    for layers, steps in each(answer):
        places = {step: place for place, step in enumerate(steps)}
        counted = Counter(steps)
        for piece in needs(layers):
            if piece.lane is Lane.COMPUTE:
                continue
            start, wait = Step("start", piece), Step("wait", piece)
            if counted[wait] != 1:
                what = f"{start} is step {places[start]}; {wait} {_often(counted[wait])}"
                return _fault(what, layers, steps, wait)
            if places[wait] < places[start]:
                what = f"step {places[wait]}, {wait}, comes before step {places[start]}, its start"
                return _fault(what, layers, steps, wait)
    return None


def _fault(
    what: str, layers: int, steps: list[Step], step: Step | None, costs: LaneCosts = EQUAL
) -> Fault:
    reason = f"layers = {layers}: {what}"
    marked = (step.piece,) if step else ()
    return Fault(reason, LanesCase(steps, layers, costs, reason, marked))


def equal(answer: Answer) -> Fault | None:
    """Output, saved inputs and all gradients are those of the layers without overlap."""
    for layers, steps in each(answer):
        task = task_of(layers)
        found = difference(Machine(task).run(steps), without_overlap(task))
        if not found:
            continue
        early = too_early(steps, layers)
        if not early:  # no order of whole steps can do that; say what is known
            return _fault(found, layers, steps, None)
        place, needed = early
        cause = f"step {place}, {steps[place]}, comes before {needed}"
        reason = f"layers = {layers}: {cause}; so {found}"
        case = LanesCase(steps, layers, EQUAL, f"layers = {layers}: {cause}", (steps[place].piece,))
        return Fault(reason, case)
    return None


def hidden(answer: Answer) -> Fault | None:
    """With every part of length 1 the pair takes no longer than its computation."""
    for layers, steps in each(answer):
        run = timed(steps, EQUAL)
        over, whole = run.length - run.busy(Lane.COMPUTE), run.busy(Lane.NETWORK)
        if over:
            what = (
                f"every part 1: {over} of {whole} units of communication are exposed;"
                f" the pair takes {run.length}, its computation {run.busy(Lane.COMPUTE)}"
            )
            return _fault(what, layers, steps, _first_waiting(steps))
    return None


def _first_waiting(steps: list[Step]) -> Step | None:
    """The first wait that holds computation up."""
    spans = timed(steps, EQUAL).spans
    now = 0
    for step in steps:
        if step.action == "run":
            now = spans[step.piece][1]
        elif step.action == "wait" and spans[step.piece][1] > now:
            return step
    return None


def as_short(answer: Answer) -> Fault | None:
    """No longer than the published order, whatever the parts take."""
    for layers, steps in each(answer):
        for words, costs in COSTS.items():
            own = timed(steps, costs).length
            published = run_pair(published_order(layers), costs).length
            if own > published:
                what = f"{words}: yours takes {own}, the published order {published}"
                return _fault(
                    f"{what}, and no order less than {lower_bound(layers, costs)}",
                    layers,
                    steps,
                    None,
                    costs,
                )
    return None


CHECKS = (
    Check(
        "complete",
        "each computation is run once, each all-to-all started once",
        complete,
        points=1,
        hint="a layer has two computations and two all-to-alls forward; its backward has the same, and two W more",
    ),
    Check(
        "waits",
        "each all-to-all is waited for once, after it was started",
        waits,
        needs=("complete",),
        points=2,
        hint="the last combine of the forward is waited for too, though nothing here computes with it",
    ),
    Check(
        "equal",
        "output, saved inputs and every gradient are those without overlap",
        equal,
        needs=("complete", "waits"),
        points=3,
        hint="a computation reads what its all-to-all brought: the wait stands before it",
    ),
    Check(
        "hidden",
        "with every part of length 1, no communication is exposed",
        hidden,
        needs=("complete", "waits", "equal"),
        points=2,
        hint="between a start and its wait there must be a computation of the other chunk",
    ),
    Check(
        "as short",
        "the pair is never longer than in the published order",
        as_short,
        needs=("complete", "waits", "equal"),
        points=2,
        hint="start an all-to-all as soon as its input is there, and wait for it as late as you can",
    ),
)
