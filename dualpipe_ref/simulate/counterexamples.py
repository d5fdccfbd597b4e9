"""Where a formula fails first: the smallest case, found by trying them."""

# The letters of the formulas.
# ruff: noqa: E741, N806

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.simulate.costs import Costs, Number
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.formula import Formula
from dualpipe_ref.simulate.timeline import Timeline

MOST_RANKS, SIZES_EACH, MOST_COST = 6, 3, 3
# What each quantity of a formula is, on each rank of a run.
TRUTH: dict[str, Callable[[Timeline], list[Number]]] = {
    "bubble": lambda timeline: list(timeline.idle),
    "worst bubble": lambda timeline: [max(timeline.idle)] * timeline.schedule.ranks,
    "makespan": lambda timeline: [timeline.makespan] * timeline.schedule.ranks,
    "activations": lambda timeline: list(peaks(timeline.schedule).activations),
    "held": lambda timeline: list(peaks(timeline.schedule).held),
    "parameters": lambda timeline: [timeline.schedule.placement.slots] * timeline.schedule.ranks,
}


class Failure(NamedTuple):
    """A case in which a formula does not give what the simulation does."""

    ranks: int
    microbatches: int
    costs: Costs
    rank: int
    claimed: Number
    true: Number

    def __str__(self) -> str:
        costs = ", ".join(f"{name} = {getattr(self.costs, name)}" for name in ("F", "I", "W"))
        pair = "" if self.costs.FB is None else f", FB = {self.costs.FB}"
        where = f"P = {self.ranks}, m = {self.microbatches}, {costs}{pair}"
        return f"{where}: says {self.claimed}, is {self.true} on rank {self.rank}"


def smallest_failure(formula: Formula, *, steady: bool = False) -> Failure | None:
    """The first case, small ones first, in which the formula is wrong; None where it is right in all that are tried.

    Tried are, for each P up to 6, the three least m and the two least from 2P on, and costs of 1 to 3; for schedules with pairs an FB from
    max(F, B), the least that a device can do, to F + B. Messages are free. With `steady` only m of at
    least 2P are tried: what fails there fails for its costs.

    >>> from dualpipe_ref.simulate import find_formula
    >>> print(smallest_failure(find_formula("dualpipe", "worst bubble", "published")))
    P = 4, m = 6, F = 2, I = 1, W = 1, FB = 2: says 1, is 2 on rank 0
    >>> print(smallest_failure(find_formula("zb-h1", "bubble", "published"), steady=True))
    P = 2, m = 4, F = 1, I = 1, W = 2: says 0, is 1 on rank 0
    >>> print(smallest_failure(find_formula("dualpipe", "worst bubble", "exact")))
    None
    """
    for ranks, microbatches in _sizes(formula.kind):
        for costs in _costs(formula.kind) if microbatches >= 2 * ranks or not steady else ():
            true = TRUTH[formula.quantity](_run(formula.kind, ranks, microbatches, costs))
            for rank in range(ranks):
                claimed = formula.evaluate(ranks, microbatches, costs, rank)
                if claimed != true[rank]:
                    return Failure(ranks, microbatches, costs, rank, claimed, true[rank])
    return None


def cases_tried(kind: str) -> int:
    """How many cases `smallest_failure` tries for a formula that is right in all.

    >>> cases_tried("gpipe")
    675
    """
    return len(_sizes(kind)) * len(_costs(kind))


@cache
def _sizes(kind: str) -> list[tuple[int, int]]:
    """(P, m), small steps first."""
    found = []
    for ranks in range(2, MOST_RANKS + 1):
        fits = [m for m in range(1, 4 * MOST_RANKS + 1) if _built(kind, ranks, m)]
        long = [m for m in fits if m >= 2 * ranks]
        found += [(ranks, m) for m in sorted({*fits[:SIZES_EACH], *long[:2]})]
    return sorted(found, key=lambda size: (size[0] * size[1], size))


@cache
def _built(kind: str, ranks: int, microbatches: int) -> Schedule | None:
    try:
        return build(kind, ranks, microbatches)
    except InputError:
        return None


@cache
def _costs(kind: str) -> list[Costs]:
    return sorted(_all_costs(kind), key=lambda costs: sum(map(costs.of, ("F", "I", "W", "FB"))))


def _all_costs(kind: str) -> Iterator[Costs]:
    numbers = range(1, MOST_COST + 1)
    for F, I, W in product(numbers, repeat=3):
        if not kind.startswith("dualpipe"):
            yield Costs(F, I, W)
            continue
        for FB in range(max(F, I + W), F + I + W + 1):
            yield Costs(F, I, W, FB=FB)


@cache
def _run(kind: str, ranks: int, microbatches: int, costs: Costs) -> Timeline:
    schedule = _built(kind, ranks, microbatches)
    assert schedule is not None
    return simulate(schedule, costs)
