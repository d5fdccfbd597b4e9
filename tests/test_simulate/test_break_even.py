"""Where a shorter pair makes DualPipeV as fast as ZB-V: exact, against the simulation and a closed form."""

# The letters of the formulas.
# ruff: noqa: E741, N803

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.break_even import break_even_pair

from .strategies import cached_build, positive


def check(P: int, m: int, costs: Costs, target: Fraction) -> Fraction | None:
    """The pair found is just as fast; every longer one is slower; None only where the shortest is slower."""
    schedule = cached_build("dualpipev", P, m)
    found = break_even_pair(schedule, target, costs)

    def makespan(pair: Fraction) -> Fraction:
        return Fraction(simulate(schedule, replace(costs, FB=pair)).makespan)

    shortest = Fraction(max(costs.of("F"), costs.of("B")))
    if found is None:
        assert makespan(shortest) > target
    else:
        assert found >= shortest
        assert makespan(found) == target
        assert makespan(found + Fraction(1, 1000)) > target
    return found


@given(positive, positive, positive, st.integers(2, 5), st.integers(0, 6), st.integers(-3, 12))
def test_it_is_exactly_where_both_are_equal(
    F: Fraction,
    I: Fraction,
    W: Fraction,
    P: int,
    extra: int,
    more: int,
) -> None:
    m = 2 * P - 1 + extra
    costs = Costs(F, I, W)
    zb_v = Fraction(simulate(cached_build("zb-v", P, m), costs).makespan)
    check(P, m, costs, zb_v * (1 + Fraction(more, 20)))


@given(st.integers(2, 9), st.integers(0, 20))
def test_with_equal_costs_it_has_a_closed_form(P: int, extra: int) -> None:
    """ZB-V idles for P - 1 and DualPipeV for twice that; every pair on the critical path gives some of it back."""
    m = 2 * P - 1 + extra
    zb_v = simulate(cached_build("zb-v", P, m)).makespan
    assert zb_v == 6 * m + P - 1
    found = break_even_pair(cached_build("dualpipev", P, m), zb_v)
    assert found == 3 - Fraction(P - 1, 2 * m - P - 2)


@given(positive, positive, positive, st.integers(2, 4), st.integers(0, 3))
def test_a_slope_that_counts_all_pairs_of_a_rank_is_seen(
    F: Fraction,
    I: Fraction,
    W: Fraction,
    P: int,
    extra: int,
) -> None:
    """The planted fault: as many pairs as rank 0 runs, where the critical path has more of them."""
    m = 2 * P - 1 + extra
    schedule, costs = cached_build("dualpipev", P, m), Costs(F, I, W)
    target = Fraction(simulate(schedule, replace(costs, FB=F + I + W)).makespan) - Fraction(1, 100)
    pairs = sum(op.kind == "FB" for op in schedule.ops[0])
    wrong = F + I + W - Fraction(1, 100) / pairs
    assume(wrong >= max(F, I + W))
    assert simulate(schedule, replace(costs, FB=wrong)).makespan != target


def test_a_schedule_without_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="has no FB"):
        break_even_pair(cached_build("1f1b", 4, 8), 30)
