"""What an answer to chapter 9 must do. Each property is tried on many (P, m), smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import Size, at, broken, each, growing, incomplete, stuck
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.check_bounds import (
    check_activations,
    check_order,
    check_weights_in_order,
)
from dualpipe_ref.schedule.dualpipe import steps_of
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.schedule.violations import Place, Rule, Violation
from dualpipe_ref.simulate import Costs, simulate

# The released code asks for m >= 2P. P = 8 and above, since some mistakes do not show at P = 4.
SIZES = growing(
    [(ranks, 2 * ranks + extra) for ranks in range(2, 13, 2) for extra in (0, 2, 4, 10)]
    + [(8, 20), (16, 32), (16, 48)]
)
# One step lower the order still works: some of its loops then do not run at all.
SMALLEST = growing((ranks, 2 * ranks - 2) for ranks in range(2, 17, 2))

Bound = Callable[[Schedule], Iterator[Violation]]


def bounded(bound: Bound) -> Callable[[Answer], Fault | None]:
    def find_fault(answer: Answer) -> Fault | None:
        for _, schedule in each(answer, "dualpipe", "dualpipe", SIZES):
            for violation in bound(schedule):
                return broken(schedule, violation)
        return None

    return find_fault


def activations(schedule: Schedule) -> Iterator[Violation]:
    yield from check_activations(schedule, schedule.ranks + 1)


def weights(schedule: Schedule) -> Iterator[Violation]:
    """At most h + 1 weight gradients wait, and they run first in, first out."""
    for rank, ops in enumerate(schedule.ops):
        bound = min(rank, schedule.ranks - 1 - rank) + 1
        for place, (_, after) in enumerate(occupancy(ops)):
            if after.pending_weights > bound:
                yield Violation(
                    Rule.WEIGHTS,
                    Place(rank, place, ops[place]),
                    f"{after.pending_weights} weight gradients wait; the bound is h + 1 = {bound}",
                )
    yield from check_weights_in_order(schedule)


def bubble(answer: Answer) -> Fault | None:
    """At F = I = W = 1 and FB = 3 each rank idles for (P/2 - 1)(FB + B - 3W)."""
    for size, schedule in each(answer, "dualpipe", "dualpipe", SIZES):
        published = (size[0] // 2 - 1) * (3 + 2 - 3)
        for rank, idle in enumerate(simulate(schedule, Costs(FB=3)).idle):
            if idle != published:
                what = f"rank {rank} idles for {idle}, not for (P/2 - 1)(FB + B - 3W) = {published}"
                case = Counterexample.at(schedule, (), what, Costs(FB=3))
                return Fault(f"{at(size)}, F = I = W = 1, FB = 3: {what}", case)
    return None


def published_order(sizes: Iterable[Size]) -> Callable[[Answer], Fault | None]:
    def find_fault(answer: Answer) -> Fault | None:
        for size, schedule in each(answer, "dualpipe", "dualpipe", sizes):
            for violation in check_order(schedule, build("dualpipe", *size)):
                assert violation.place is not None
                rank, place, _ = violation.place
                return broken(schedule, violation, f" ({_step(rank, place, size)})")
        return None

    return find_fault


def _step(rank: int, place: int, size: Size) -> str:
    """The step of the rank's `place`-th op in the published order.

    >>> _step(0, 0, (4, 8)), _step(1, 4, (4, 8)), _step(1, 99, (4, 8))
    ('step 1', 'step 4', 'after step 8')
    """
    ranks, microbatches = size
    steps = steps_of(min(rank, ranks - 1 - rank), ranks // 2, microbatches // 2)
    return f"step {steps[place]}" if place < len(steps) else "after step 8"


CHECKS = (
    Check(
        "complete",
        "each chunk's F, I and W run once, in that order",
        incomplete("dualpipe", "dualpipe", SIZES),
        points=1,
        hint="count what each step takes from each direction: n forwards and n backwards in all",
    ),
    Check(
        "channels",
        "with the messages placed: no deadlock, both ends of every channel in one order",
        stuck("dualpipe", "dualpipe", SIZES),
        needs=("complete",),
        points=1,
        hint="ranks of the second half begin with the other direction",
    ),
    Check(
        "memory",
        "no rank holds more than P + 1 activations",
        bounded(activations),
        needs=("complete",),
        points=1,
        hint="compare the lengths of steps 1 and 2 with the table on the page",
    ),
    Check(
        "weights",
        "at most h + 1 weight gradients wait; they run first in, first out",
        bounded(weights),
        needs=("complete",),
        points=1,
        hint="step 3 runs each W at once; only step 6 leaves some behind, and step 8 takes the oldest first",
    ),
    Check(
        "bubble",
        "each rank idles for (P/2 - 1)(FB + B - 3W) at F = I = W = 1, FB = 3",
        bubble,
        needs=("channels",),
        points=2,
        hint="a zero bubble needs I and W apart in steps 3, 6 and 7, and pairs in steps 4 and 5",
    ),
    Check(
        "published order",
        "the op lists of the released code",
        published_order(SIZES),
        points=3,
        hint="the step in brackets is where the first difference lies",
    ),
    Check(
        "smallest m",
        "the same order at m = 2P - 2",
        published_order(SMALLEST),
        points=1,
        hint="some loops do not run at all there: a range may be empty",
    ),
)
