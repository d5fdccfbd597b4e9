"""The SMs that a pair should give to communication: found by bisection, held against trying all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.simulate.cluster import TRANSPORTS, Kernels, Plan, reserved
from dualpipe_ref.simulate.cluster.reserved import (
    BreakEven,
    break_even,
    one_after_the_other,
    pair_on,
)
from dualpipe_ref.simulate.cluster.study import pair_profile
from dualpipe_ref.simulate.waiting import ledger

ROUNDED = 100  # nanoseconds: 40 pieces of a pair of four layers, each rounded


def of(sms: int, rdma: float, nvlink: float, computation: float, knee: float, rate: float) -> Plan:
    """V3 with other SMs, links and kernels."""
    device = replace(Plan().device, sms=sms, rdma=rdma, nvlink=nvlink)
    kernels = Kernels().changed(
        computation=computation, sms_of_full_rdma=knee, nvlink_of_an_sm=rate
    )
    return replace(Plan(), device=device, kernels=kernels)


PLANS = st.builds(
    of,
    st.integers(2, 40),
    st.sampled_from([5.0, 25.0, 50.0, 400.0]),
    st.sampled_from([20.0, 160.0, 450.0]),
    st.sampled_from([0.02, 0.3, 0.58, 1.0, 4.0]),
    st.floats(0.5, 50),
    st.floats(0.5, 40),
)


def tried(plan: Plan, layers: int) -> BreakEven:
    """Every number of SMs; the fewest of the best."""
    alone = one_after_the_other(plan, layers).length
    lengths = {sms: pair_on(plan, sms, layers).length for sms in range(1, plan.device.sms)}
    best = min(lengths, key=lambda sms: (lengths[sms], sms))
    gaining = [sms for sms, length in lengths.items() if length < alone]
    if not gaining:
        return BreakEven(best, best + 1, best)
    assert gaining == list(range(gaining[0], gaining[-1] + 1))
    return BreakEven(best, gaining[0], gaining[-1])


@settings(max_examples=60, deadline=None)
@given(PLANS, st.integers(1, 3))
@example(of(2, 50, 160, 1, 8, 15), 1)
@example(of(4, 400, 450, 4, 1, 40), 2)
def test_it_is_what_trying_all_finds(plan: Plan, layers: int) -> None:
    assert break_even(plan, layers) == tried(plan, layers)


def test_trying_all_sees_a_search_that_stops_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    search = reserved._first
    monkeypatch.setattr(
        reserved, "_first", lambda low, high, holds: max(low, search(low, high, holds) - 1)
    )
    plan = of(40, 50, 160, 0.58, 8, 15)
    assert break_even(plan) != tried(plan, 4)


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_a_pair_is_convex_in_its_sms(plan: Plan) -> None:
    found = [pair_on(plan, sms).length for sms in range(1, plan.device.sms)]
    for before, here, after in zip(found, found[1:], found[2:], strict=False):
        assert before + after >= 2 * here - ROUNDED


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_nobody_gains_with_more_sms_than_the_ledger_of_waiting_allows(plan: Plan) -> None:
    """That one knows no lanes and no links: all that waits is hidden, and computation alone is taxed."""
    alone = one_after_the_other(plan)
    waiting = ledger(1, min(alone.exposed / alone.length, 0.999), 1, sms=plan.device.sms)
    found = break_even(plan)
    assert found.most <= waiting.break_even or found.least > found.most


def test_the_ledger_is_nearly_reached_where_lanes_are_full() -> None:
    plan = of(132, 50, 160, 0.5769, 8, 15.4)
    alone = one_after_the_other(plan)
    assert alone.exposed / (alone.length - alone.exposed) == pytest.approx(0.91, abs=1e-3)
    assert break_even(plan) == BreakEven(best=7, least=3, most=62)
    assert float(ledger(1, alone.exposed / alone.length, 1).break_even) == pytest.approx(
        62.9, abs=0.1
    )


@pytest.mark.parametrize("sms", [1, 8, 20, 131])
def test_a_pair_is_that_of_the_planner(sms: int) -> None:
    assert pair_on(Plan(), sms) == pair_profile(replace(Plan(), sms=sms)).parts


def test_what_is_refused() -> None:
    for sms in (0, 132, True):
        with pytest.raises(InputError):
            pair_on(Plan(), sms)
    with pytest.raises(InputError, match="experts on other ranks"):
        break_even(replace(Plan(), expert_ranks=1))
    with pytest.raises(InputError, match="needs some"):
        break_even(replace(Plan(), transport=TRANSPORTS["copy-engine"]))
