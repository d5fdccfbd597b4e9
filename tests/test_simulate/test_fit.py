"""Costs and latency are found again in timelines that were simulated with them."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate
from dualpipe_ref.simulate.costs import OpTimes
from dualpipe_ref.simulate.fit import compare, fit
from dualpipe_ref.simulate.least_squares import smallest_least_squares

from .strategies import costs_for, positive, schedules


@st.composite
def runs(draw: st.DrawFn) -> tuple[Schedule, Costs, Network]:
    """FB always has its own cost: that of F and B after one another is no sum of what two stages contribute."""
    schedule = draw(schedules())
    per_stage = st.tuples(*[positive] * schedule.placement.stages)
    costs = replace(
        draw(costs_for(schedule)), rank_scale=None, FB=draw(st.one_of(positive, per_stage))
    )
    return schedule, costs, Network(latency=draw(st.just(0) | positive))


@given(runs())
def test_exact_costs_and_latency_are_found_again(run: tuple[Schedule, Costs, Network]) -> None:
    schedule, costs, network = run
    timeline = simulate(schedule, costs, network)
    found = fit([timeline, timeline])
    assert found.latency == network.latency
    for rank in range(schedule.ranks):
        assert found.costs.durations(schedule, rank) == costs.durations(schedule, rank)
    for stage in range(schedule.placement.stages):
        assert found.costs.of("F", stage) == costs.of("F", stage)
    again = simulate(schedule, found.costs, Network(latency=found.latency))
    assert again.starts == timeline.starts


@given(runs())
def test_a_prediction_from_other_steps_is_exact_where_they_are(
    run: tuple[Schedule, Costs, Network],
) -> None:
    schedule, costs, network = run
    other = Costs(F=99, I=99, W=99)  # a slow first step
    steps = [simulate(schedule, other, network)] + [simulate(schedule, costs, network)] * 4
    found = compare(steps)
    assert (found.left_out, len(found.held_out), found.difference) == (1, 2, 0)
    assert found.idle == found.predicted_idle == found.steady.idle


@given(st.floats(0.1, 10), st.floats(0.001, 0.2))
def test_floats_are_found_again_nearly(cost: float, latency: float) -> None:
    schedule = build("dualpipe", 4, 8)
    timeline = simulate(schedule, Costs(F=cost, FB=2 * cost), Network(latency=latency))
    found = fit([timeline])
    assert found.latency == pytest.approx(latency)
    assert list(found.costs.F) == pytest.approx([cost] * 4)
    assert list(found.costs.FB) == pytest.approx([2 * cost] * 4)


def seen_late(timeline: Timeline) -> Timeline:
    """As a recorder has it: messages nobody waited for are seen only when they are asked for."""
    starts = {
        message: start
        for rank, ops in enumerate(timeline.schedule.flat_ops)
        for flat, start in zip(ops, timeline.starts[rank], strict=True)
        for message in flat[3]
    }
    index = timeline.schedule.numbering.message_index
    seen = [one._replace(end=starts[index(one.message)]) for one in timeline.transfers]
    return replace(timeline, transfers=seen)


@given(runs())
def test_a_message_seen_late_changes_no_cost(
    run: tuple[Schedule, Costs, Network],
) -> None:
    schedule, costs, network = run
    timeline = seen_late(simulate(schedule, costs, network))
    found = fit([timeline])
    for rank in range(schedule.ranks):
        assert found.costs.durations(schedule, rank) == costs.durations(schedule, rank)


def test_an_op_that_takes_longer_changes_its_cost() -> None:
    """The planted fault: one op of one step. It is seen; among four steps, it is a disturbance."""
    schedule = build("gpipe", 2, 2)
    right = simulate(schedule)
    wrong = replace(right, ends=((*right.ends[0][:-1], right.ends[0][-1] + 4), right.ends[1]))
    assert fit([right]).costs.of("B") == 2
    assert fit([wrong]).costs.of("B") == 4
    assert compare([wrong, wrong]).fit.costs.of("B") == 4
    assert compare([wrong, *[right] * 7]).fit.costs.of("B") == 2
    assert compare([right, right, wrong, *[right] * 6]).difference == 0
    assert compare([wrong, right]).difference > 0


def test_no_steps_and_one_step_are_refused() -> None:
    with pytest.raises(InputError, match="one timeline or more"):
        fit([])
    with pytest.raises(InputError, match="a step to learn from"):
        compare([simulate(build("gpipe", 2, 2))])


@given(st.data())
def test_least_squares_leave_no_better_neighbour(data: st.DataObject) -> None:
    """No small step in any coordinate, or pair of them, brings a smaller error or, at the same error, a smaller solution."""
    count = data.draw(st.integers(1, 5))
    place = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), min_size=1, max_size=8))
    sums = data.draw(st.tuples(*[positive] * len(pairs)))
    found = [one or Fraction(0) for one in smallest_least_squares(pairs, sums, count)]

    def badness(values: list[Fraction]) -> tuple[Fraction, Fraction]:
        errors = [values[a] + values[b] - total for (a, b), total in zip(pairs, sums, strict=True)]
        return sum((one**2 for one in errors), Fraction(0)), sum(
            (one**2 for one in values), Fraction(0)
        )

    steps = data.draw(st.lists(st.tuples(*[st.integers(-2, 2)] * count), min_size=20, max_size=20))
    for step in steps:
        for size in (Fraction(1, 100), Fraction(1)):
            moved = [value + size * one for value, one in zip(found, step, strict=True)]
            assert badness(moved) >= badness(found)


def varied(schedule: Schedule, seed: int) -> Timeline:
    """A step in which each op takes 8 to 12."""
    generator = random.Random(seed)
    times = [[generator.randint(8, 12) for _ in ops] for ops in schedule.ops]
    return simulate(schedule, OpTimes(times))


def test_ops_that_vary_make_a_step_longer_than_its_means_do() -> None:
    """DualPipe's ranks wait for each other at every pair: means alone foretell too little, draws do not."""
    schedule = build("dualpipe", 4, 16)
    found = compare([varied(schedule, seed) for seed in range(41)])
    steady = found.steady.makespan / found.measured - 1
    assert steady < -0.02
    assert abs(found.difference) < abs(steady) / 2
    assert sum(found.predicted_idle) > sum(found.steady.idle)


def test_times_of_ops_must_fit_their_schedule() -> None:
    schedule = build("gpipe", 2, 1)
    for times, words in (
        ([[1, 1]], "one time for each op"),
        ([[1, 1], [1, 0]], r"times\[1\]\[1\]"),
    ):
        with pytest.raises(InputError, match=words):
            simulate(schedule, OpTimes(times))
