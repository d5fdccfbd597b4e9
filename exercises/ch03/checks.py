"""What an answer to chapter 3 must do. Each property is tried on many (P, m), smallest first."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import ask_rank, at, each, growing, incomplete, stuck
from dualpipe_ref.schedule import OpKind
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.simulate import Costs, Timeline, simulate

# With steps shorter than the pipeline: there m < P.
SIZES = growing(
    [(ranks, microbatches) for ranks in range(2, 9) for microbatches in range(1, 12)]
    + [(8, 20), (16, 8), (16, 40)]
)
# (F, B) in exact numbers: equal, usual, a cheap backward, an odd one.
COSTS = ((1, 1), (1, 2), (3, 1), (Fraction(7, 5), Fraction(22, 9)))


def complete(name: str, kind: str) -> Callable[[Answer], str | Fault | None]:
    """Each chunk's F and B once, F first; no other ops, since here a backward is one piece."""
    runs_everything_once = incomplete(name, kind, SIZES)

    def find_fault(answer: Answer) -> str | Fault | None:
        for size in SIZES:
            for rank in range(size[0]):
                for place, op in enumerate(ask_rank(answer, name, rank, size)):
                    if op.kind not in (OpKind.F, OpKind.B):
                        return f"{at(size)}: rank {rank} runs {op} (op {place}); use F and B alone"
        return runs_everything_once(answer)

    return find_fault


def all_forwards_first(answer: Answer) -> Fault | None:
    for size, schedule in each(answer, "gpipe", "gpipe", SIZES):
        for rank, ops in enumerate(schedule.ops):
            for place, (before, op) in enumerate(pairwise(ops), start=1):
                if (before.kind, op.kind) == (OpKind.B, OpKind.F):
                    what = f"rank {rank} runs {op} (op {place}) after {before}"
                    case = Counterexample.at(schedule, [(rank, place)], what)
                    return Fault(f"{at(size)}: {what}", case)
    return None


def at_most_what_fits(answer: Answer) -> Fault | None:
    """Rank r never holds more than P - r chunks between their forward and their backward."""
    for size, schedule in each(answer, "one_f_one_b", "1f1b", SIZES):
        for rank, ops in enumerate(schedule.ops):
            bound = size[0] - rank
            for place, (during, _) in enumerate(occupancy(ops)):
                if during.activations > bound:
                    what = (
                        f"rank {rank} at {ops[place]} (op {place}) holds the activations"
                        f" of {during.activations} micro-batches; the bound is P - r = {bound}"
                    )
                    case = Counterexample.at(schedule, [(rank, place)], what)
                    return Fault(f"{at(size)}: {what}", case)
    return None


def closed_form(name: str, kind: str) -> Callable[[Answer], Fault | None]:
    """The makespan is (m + P - 1)(F + B), which no order can undercut, for every cost."""

    def find_fault(answer: Answer) -> Fault | None:
        for size, schedule in each(answer, name, kind, SIZES):
            ranks, microbatches = size
            for forward, backward in COSTS:
                # B alone is run, so how it divides into I and W does not matter.
                half = Fraction(backward) / 2
                costs = Costs(F=forward, I=half, W=half)
                timeline = simulate(schedule, costs)
                best = (microbatches + ranks - 1) * (forward + backward)
                if timeline.makespan != best:
                    rank, place, wait = _longest_wait(timeline)
                    reason = (
                        f"{at(size)}, F = {forward}, B = {backward}: the step ends at"
                        f" {timeline.makespan}, not at (m + P - 1)(F + B) = {best}; {wait}"
                    )
                    return Fault(reason, Counterexample.at(schedule, [(rank, place)], wait, costs))
        return None

    return find_fault


def _longest_wait(timeline: Timeline) -> tuple[int, int, str]:
    """Rank and place of the op that is waited for longest once its rank has begun, and in words why."""
    schedule = timeline.schedule
    wait, rank, place = max(
        (start - end, rank, place)
        for rank, (starts, ends) in enumerate(zip(timeline.starts, timeline.ends, strict=True))
        for place, (start, end) in enumerate(zip(starts[1:], ends, strict=False), start=1)
    )
    awaits = schedule.flat_ops[rank][place][3]
    what = f" for the {schedule.numbering.message(awaits[0])}" if awaits else ""
    op = schedule.ops[rank][place]
    return rank, place, f"the longest wait: rank {rank} before {op} (op {place}), {wait}{what}"


CHECKS = (
    Check(
        "gpipe complete",
        "GPipe: every F and B runs once, F before its B",
        complete("gpipe", "gpipe"),
        points=1,
        hint="the same list on every rank: m forwards, m backwards, and nothing else",
    ),
    Check(
        "gpipe order",
        "GPipe: all forwards come before all backwards",
        all_forwards_first,
        needs=("gpipe complete",),
        points=1,
        hint="the last rank, too, waits with its first backward until its last forward",
    ),
    Check(
        "gpipe makespan",
        "GPipe: (m + P - 1)(F + B) for several costs",
        closed_form("gpipe", "gpipe"),
        # Where all forwards come first no ranks can wait in a ring, so that needs no check.
        needs=("gpipe complete", "gpipe order"),
        points=1,
        hint="both directions go through the micro-batches in the same order on every rank",
    ),
    Check(
        "complete",
        "1F1B: every F and B runs once, F before its B",
        complete("one_f_one_b", "1f1b"),
        points=1,
        hint="a warm-up may not be longer than the step: m can be less than P",
    ),
    Check(
        "deadlock",
        "1F1B: every rank reaches its end",
        stuck("one_f_one_b", "1f1b", SIZES),
        needs=("complete",),
        points=2,
        hint="follow the arrows: which of the two ranks should have run something else first?",
    ),
    Check(
        "memory",
        "1F1B: rank r holds at most P - r activations",
        at_most_what_fits,
        needs=("complete",),
        points=2,
        hint="the warm-up and the forward of the first turn are together P - r",
    ),
    Check(
        "makespan",
        "1F1B: (m + P - 1)(F + B) for several costs",
        closed_form("one_f_one_b", "1f1b"),
        needs=("complete", "deadlock"),
        points=2,
        hint="a rank must have forwards enough to stay busy until its first gradient comes back",
    ),
)
