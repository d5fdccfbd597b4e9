"""Interleaved 1F1B and Chimera: makespans with a latency, and what they hold, for all sizes that tests can draw."""

# The letters of the formulas.
# ruff: noqa: N803, N806

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, Network, find_formula, peaks, simulate

from .strategies import cached_build, positive


@given(positive, positive, positive, st.integers(2, 6), st.integers(1, 14))
def test_one_f_one_b_pays_latency_at_every_turn(
    F: Fraction, B: Fraction, L: Fraction, P: int, m: int
) -> None:
    formula, costs = find_formula("1f1b", "makespan"), Costs(F, 1, 1, B)
    assert formula.holds(P, m, costs, latency=L)
    found = simulate(cached_build("1f1b", P, m), costs, Network(L)).makespan
    assert formula.evaluate(P, m, costs, latency=L) == found


@given(
    positive, positive, st.fractions(0, 1), st.integers(2, 5), st.integers(1, 3), st.integers(2, 5)
)
def test_interleaved_pays_latency_in_its_ramps_alone(
    F: Fraction, B: Fraction, share: Fraction, P: int, rounds: int, v: int
) -> None:
    formula, costs, m = find_formula("interleaved", "makespan"), Costs(F, 1, 1, B), rounds * P
    L = share * min(F, B)
    assert formula.holds(P, m, costs, chunks=v, latency=L)
    found = simulate(cached_build("interleaved", P, m, v), costs, Network(L)).makespan
    assert formula.evaluate(P, m, costs, chunks=v, latency=L) == found


def test_where_interleaved_pays_more() -> None:
    """Both bounds of the domain are needed: a longer latency, and rounds that are longer than P."""
    formula = find_formula("interleaved", "makespan")
    for P, m, L in ((4, 8, 2), (4, 6, 1)):
        assert not formula.holds(P, m, latency=L)
        found = simulate(build("interleaved", P, m), None, Network(L)).makespan
        assert formula.evaluate(P, m, latency=L) != found


@given(st.integers(2, 7), st.integers(1, 30), st.integers(2, 6))
def test_what_interleaved_holds(P: int, m: int, v: int) -> None:
    assume(m % max(1, m // P) == 0)
    formula, schedule = (
        find_formula("interleaved", "activations"),
        cached_build("interleaved", P, m, v),
    )
    peak = [formula.evaluate(P, m, rank=rank, chunks=v) for rank in range(P)]
    assert peak == list(peaks(schedule).activations) == list(peaks(schedule).held)


@given(st.integers(2, 8), st.integers(2, 6), st.integers(2, 4))
def test_what_interleaved_holds_in_parts_of_the_model(P: int, v: int, rounds: int) -> None:
    """In units of 1/P of the model, which 1F1B holds P - r of: P + (P - 1 - 2r)/v."""
    found = peaks(cached_build("interleaved", P, rounds * P, v)).activations
    assert [Fraction(held, v) for held in found] == [
        P + Fraction(P - 1 - 2 * rank, v) for rank in range(P)
    ]


@given(st.integers(1, 7), st.integers(1, 4))
def test_what_chimera_holds(half: int, units: int) -> None:
    P = 2 * half
    found = peaks(cached_build("chimera", P, units * P)).activations
    assert list(found) == [half + 1 + min(rank, P - 1 - rank) for rank in range(P)]
    assert min(found) == half + 1
    assert max(found) == P


@given(positive, positive, st.integers(1, 4), st.integers(1, 4))
def test_chimera_for_all_costs(F: Fraction, B: Fraction, half: int, units: int) -> None:
    P, costs = 2 * half, Costs(F, 1, 1, B)
    formula = find_formula("chimera", "bubble", "exact")
    idle = set(simulate(cached_build("chimera", P, units * P), costs).idle)
    assert idle == {formula.evaluate(P, units * P, costs)}


def test_a_formula_without_latency_does_not_hold_with_one() -> None:
    formula = find_formula("1f1b", "bubble")
    assert formula.holds(4, 8)
    assert not formula.holds(4, 8, latency=1)


@pytest.mark.parametrize("P", range(2, 13))
def test_where_blocking_sends_cost_interleaved_time(P: int) -> None:
    """With the package's placement of messages: every third P where B = 2F, every P where B = F."""
    schedule = build("interleaved", P, 2 * P)
    for costs, unlucky in ((Costs(), P % 3 == 2), (Costs(B=1), True)):
        eager, blocking = (
            simulate(schedule, costs, Network(sends=sends)).makespan
            for sends in ("eager", "rendezvous")
        )
        assert (blocking > eager) == unlucky
