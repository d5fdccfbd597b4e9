"""How short an overlapped pair must be for a schedule to be as fast as another: exact, without trial and error."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind, Schedule
from dualpipe_ref.simulate.costs import Costs, Number
from dualpipe_ref.simulate.critical import critical_path
from dualpipe_ref.simulate.engine import simulate


def break_even_pair(
    schedule: Schedule, makespan: Number, costs: Costs | None = None
) -> Fraction | None:
    """The largest FB at which `schedule` takes no longer than `makespan`; None where max(F, B) is too long.

    An FB shorter than its F or its B cannot be. `costs` has exact numbers, one for each kind; its own FB
    does not matter. Messages are free. The makespan is the longest of many chains of ops, so as a
    function of FB it is convex and piecewise linear, and the number of FBs on a critical path is its slope:
    Newton's method, begun at the right, reaches the point itself after a few steps.

    >>> from dualpipe_ref.schedule import build
    >>> zb_v = simulate(build("zb-v", 8, 20)).makespan
    >>> print(zb_v, break_even_pair(build("dualpipev", 8, 20), zb_v))
    127 83/30
    >>> print(break_even_pair(build("dualpipev", 8, 20), 100))
    None
    """
    if not any(op.kind is OpKind.FB for ops in schedule.ops for op in ops):
        raise InputError("the schedule overlaps some pair", f"{schedule!r} has no FB", "dualpipev")
    costs = costs or Costs()
    shortest = max(Fraction(costs.of("F")), Fraction(costs.of("B")))
    pair = max(Fraction(makespan), shortest)  # with one FB of that length it takes as long at least
    while pair >= shortest:
        timeline = simulate(schedule, replace(costs, FB=pair))
        beyond = Fraction(timeline.makespan) - Fraction(makespan)
        if beyond <= 0:
            return pair
        on_path = critical_path(timeline).by_kind.get(OpKind.FB, 0)
        if not on_path:
            return None  # no FB delays it: a shorter one helps nothing
        pair -= beyond / (Fraction(on_path) / pair)
    return None
