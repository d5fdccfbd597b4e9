"""What exercise 12 is judged by: verdicts are those that were planted, times are those of the planner, splits the driver's."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.grading import evaluate
from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.hopper.arithmetic import sm_tax
from dualpipe_ref.hopper.emulated_driver import EmulatedDriver
from dualpipe_ref.hopper.reserve import reserve
from dualpipe_ref.hopper.sm_map import COMMUNICATION, COMPUTE, NEITHER, sm_map
from dualpipe_ref.simulate.cluster import Plan
from dualpipe_ref.simulate.cluster.reserved import break_even, one_after_the_other, pair_on
from dualpipe_ref.simulate.cluster.transport import AllToAll, share_of_rdma
from dualpipe_ref.simulate.volumes import combine_bytes, dispatch_bytes
from exercises.ch12.offers import MEASURED, Offer, all_to_all, offers, share
from exercises.ch12.runs import APART, IN_TURNS, NOT_PROVEN, PLANTED, SHARED, planted_run, runs

SOLUTION = evaluate.load(
    evaluate.compiled(find_exercise("ch12").solution.read_text("utf-8"), "solution.py")
)
# Nanoseconds: every piece of the planner's pair is rounded.
ROUNDED = 100


@settings(max_examples=200, deadline=None)
@given(st.integers(3, 40), st.data(), st.sampled_from(sorted(PLANTED)), st.integers(0, 10**6))
def test_a_verdict_is_what_was_planted(
    sms: int, data: st.DataObject, planted: str, seed: int
) -> None:
    taken = data.draw(st.integers(2, sms - 1))
    run = planted_run(sms, taken, planted, random.Random(seed))
    assert run.verdict()[0] == PLANTED[planted]
    found = SOLUTION.which_sms(run.sms, run.given, run.communication, run.computation)
    assert found == (*run.lists(), PLANTED[planted])


def test_every_verdict_is_asked_for_on_small_gpus() -> None:
    asked = [run.verdict()[0] for run in runs() if run.sms < 5]
    assert all(asked.count(one) >= 3 for one in (SHARED, IN_TURNS, APART, NOT_PROVEN))


def test_what_is_apart_is_apart_on_the_map() -> None:
    """The verdict asks for more than the map's `is_apart`, never for less."""
    for run in runs():
        found = sm_map(run.sms, *run.sides())
        assert found.is_apart == (run.verdict()[0] in (APART, NOT_PROVEN))
        if run.verdict()[0] == APART:
            assert found.count(COMMUNICATION) == run.given
            assert found.count(COMPUTE) + found.count(NEITHER) == run.sms - run.given


@pytest.mark.parametrize("asked", [1, 7, 8, 9, 20, 24, 120, 128])
def test_a_split_is_what_the_driver_gives(asked: int) -> None:
    with reserve(EmulatedDriver(), asked, exact=False) as made:
        assert SOLUTION.split(asked, 132, 8, 8) == (made.given.given, made.given.rest)


@pytest.mark.parametrize("asked", [129, 131])
def test_where_the_driver_refuses_a_split_the_nearest_one_is_asked_for(asked: int) -> None:
    with (
        pytest.raises(InputError, match=r"nearest legal: 128 SMs"),
        reserve(EmulatedDriver(), asked, exact=False),
    ):
        pass
    assert SOLUTION.split(asked, 132, 8, 8) == (128, 4)


def test_few_sms_reach_what_the_planner_says() -> None:
    for sms in range(1, 133):
        assert float(share(sms, MEASURED)) == pytest.approx(share_of_rdma(sms, 8))


def test_computation_is_taxed_as_it_is_measured() -> None:
    offer = Offer(Fraction(1000), (0, 0), _links(Plan()), 132, 1, 1)
    for sms in (1, 8, 20, 66, 131):
        assert float(offer.pair(sms)) == pytest.approx(1000 * sm_tax(1.0, 1.0, 132, sms).explained)


def _links(plan: Plan) -> dict[str, object]:
    kernels = plan.kernels
    return {
        "rdma": Fraction(plan.device.rdma * kernels["rdma_share"]),
        "reach": MEASURED,
        "nvlink": Fraction(plan.device.nvlink),
        "nvlink_of_an_sm": Fraction(kernels["nvlink_of_an_sm"]),
    }


def _sent(exchange: AllToAll, layers: int) -> tuple[Fraction, Fraction]:
    """What a pair sends: a dispatch and a combine forward and as much backward, in every layer."""
    experts = exchange.grid.experts_per_token
    message = dispatch_bytes(exchange.hidden, experts, exchange.narrow)
    message += combine_bytes(exchange.hidden, experts, 2)
    size = message * 2 * layers * exchange.tokens
    rdma, nvlink = exchange.copies
    return Fraction(rdma) * size, Fraction(nvlink) * size


@pytest.mark.parametrize("layers", [1, 4])
def test_the_pair_is_the_planners_where_no_lane_waits(layers: int) -> None:
    """V3's: never shorter in lanes; as long but for rounding where communication or computation alone decides."""
    plan = Plan()
    assert plan.exchange is not None
    links, sent = _links(plan), _sent(plan.exchange, layers)
    alone = one_after_the_other(plan, layers)
    compute = Fraction(alone.work + alone.again, 1000)
    offer = Offer(compute, sent, links, plan.device.sms, 1, 1)
    assert float(1000 * offer.alone) == pytest.approx(alone.length, abs=ROUNDED)
    found = {}
    for sms in (1, 2, 3, 4, 8, 20, 60, 131):
        long, least = pair_on(plan, sms, layers).length, float(1000 * offer.pair(sms))
        assert long >= least - ROUNDED
        found[sms] = long - least
    if layers == 4:
        assert {sms for sms, more in found.items() if more > ROUNDED} == {3}
        # As the exercise says: three without lanes, four with them; both gain from three on.
        planned = break_even(plan, layers)
        assert (offer.right()[0], offer.right()[2]) == (3, 3)
        assert (planned.best, planned.least) == (4, 3)


def test_an_all_to_all_takes_what_the_planner_says() -> None:
    for sms in (1, 3, 4, 6, 8, 20, 131):
        plan = replace(Plan(), sms=sms)
        assert plan.exchange is not None
        whole = plan.exchange.dispatch() + plan.exchange.combine()
        found = all_to_all(sms, _sent(plan.exchange, 1), _links(plan)) / 2
        assert float(1000 * found) == pytest.approx(whole, abs=2)


def test_what_is_offered_has_ties_and_pairs_that_gain_nothing() -> None:
    asked = list(offers())
    assert sum(offer.right()[2] is None for offer in asked) >= 10
    assert sum(offer.right()[2] is not None for offer in asked) >= 10
    shortest = [[offer.pair(one) for one in offer.legal] for offer in asked]
    assert sum(pairs.count(min(pairs)) > 1 for pairs in shortest) >= 10
    assert sum(offer.alone in pairs for offer, pairs in zip(asked, shortest, strict=True)) >= 10
