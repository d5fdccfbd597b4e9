"""The engine against rules that any run obeys, and against a second simulator."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import CannotRunError, Costs, Network, Timeline, simulate
from dualpipe_ref.simulate.costs import Number

from .checks import check_against_reference, check_books, check_dependencies, check_no_overlap
from .strategies import positive, runs

Run = tuple[Schedule, Costs, Network]


@given(runs())
def test_rules_of_any_run(run: Run) -> None:
    timeline = simulate(*run)
    check_books(timeline)
    check_no_overlap(timeline)
    check_dependencies(timeline, run[2])


@given(runs())
def test_equals_the_reference(run: Run) -> None:
    check_against_reference(*run)


def scale(value: object, factor: Fraction) -> object:
    if isinstance(value, tuple):
        return tuple(number * factor for number in value)
    return None if value is None else value * factor  # type: ignore[operator]


def scaled(costs: Costs, factor: Fraction) -> Costs:
    names = ("F", "I", "W", "B", "FB")
    return replace(costs, **{name: scale(getattr(costs, name), factor) for name in names})


@given(runs(), positive)
def test_scaling_all_costs_scales_all_times(run: Run, factor: Fraction) -> None:
    schedule, costs, network = run
    bandwidth = None if network.bandwidth is None else Fraction(network.bandwidth) / factor
    slower = replace(network, latency=network.latency * factor, bandwidth=bandwidth)
    times = simulate(schedule, costs, network).ends
    expected = tuple(tuple(end * factor for end in ends) for ends in times)
    assert simulate(schedule, scaled(costs, factor), slower).ends == expected


@given(runs())
def test_eager_is_never_slower_than_rendezvous(run: Run) -> None:
    schedule, costs, network = run
    eager = simulate(schedule, costs, replace(network, sends="eager"))
    rendezvous = simulate(schedule, costs, replace(network, sends="rendezvous"))
    for early, late in zip(eager.ends, rendezvous.ends, strict=True):
        assert all(one <= other for one, other in zip(early, late, strict=True))


@given(runs(), positive)
def test_more_latency_is_never_faster(run: Run, more: Fraction) -> None:
    schedule, costs, network = run
    later = replace(network, latency=network.latency + more)
    assert simulate(schedule, costs, network).makespan <= simulate(schedule, costs, later).makespan


@given(runs())
def test_a_slower_stage_or_rank_is_never_faster(run: Run) -> None:
    schedule, costs, network = run
    scales = list(costs.rank_scale or [1] * schedule.ranks)
    scales[-1] *= 2
    slower = replace(costs, rank_scale=scales)
    assert (
        simulate(schedule, costs, network).makespan <= simulate(schedule, slower, network).makespan
    )


def numbers(timeline: Timeline) -> list[Number]:
    return [time for times in (*timeline.starts, *timeline.ends) for time in times]


@pytest.mark.parametrize("kind", ["1f1b", "dualpipev"])
@pytest.mark.parametrize("sends", ["eager", "rendezvous"])
def test_numbers_keep_their_type(kind: str, sends: str) -> None:
    schedule = build(kind, 3, 6)
    integers = simulate(schedule, Costs(2, 3, 1, FB=5), Network(latency=1, sends=sends))  # type: ignore[arg-type]
    assert {type(time) for time in numbers(integers)} == {int}
    costs = Costs(Fraction(1, 3), Fraction(1, 7), Fraction(1, 2), FB=Fraction(5, 3))
    exact = simulate(schedule, costs, Network(latency=Fraction(1, 9), sends=sends))  # type: ignore[arg-type]
    assert {type(time) for time in numbers(exact)} <= {int, Fraction}
    floats = simulate(schedule, Costs(0.1, 0.2, 0.3, FB=0.5), Network(sends=sends))  # type: ignore[arg-type]
    assert {type(time) for time in numbers(floats) if time} == {float}


@given(st.integers(1, 5), st.integers(1, 5))
def test_integers_stay_exact_over_a_bandwidth(bandwidth: int, size: int) -> None:
    network = Network(bandwidth=bandwidth, activation_size=size)
    timeline = simulate(build("1f1b", 2, 1), Costs(), network)
    assert timeline.makespan == 6 + Fraction(size + 1, bandwidth)


def test_costs_per_stage_and_per_rank() -> None:
    schedule = build("gpipe", 2, 1)
    assert simulate(schedule, Costs(F=(1, 10), I=(100, 1000), W=(1, 1))).makespan == 11 + 1001 + 101
    assert simulate(schedule, Costs(rank_scale=(1, 10))).makespan == 1 + 10 + 20 + 2


def test_a_pair_costs_half_of_each_of_its_stages() -> None:
    costs = Costs(FB=(3, 4))
    assert costs.of("FB", 0, 1) == Fraction(7, 2)
    assert costs.of("FB", 1, 1) == 4
    assert type(costs.of("FB", 1, 1)) is int


def test_a_busy_channel_delays_the_next_message() -> None:
    timeline = simulate(build("gpipe", 2, 3), Costs(), Network(latency=1, bandwidth=Fraction(1, 3)))
    first = [
        transfer for transfer in timeline.transfers if transfer.message.payload == "activation"
    ]
    assert [tuple(transfer[1:]) for transfer in first] == [(1, 1, 5), (2, 4, 8), (3, 7, 11)]


def test_a_batch_without_messages_takes_no_time() -> None:
    schedule = build("1f1b", 2, 2)
    nothing = ((), ())
    padded = replace(
        schedule,
        batches=tuple(
            tuple((nothing, *group, nothing) for group in batches) for batches in schedule.batches
        ),
    )
    for sends in ("eager", "rendezvous"):
        network = Network(latency=1, sends=sends)  # type: ignore[arg-type]
        assert simulate(padded, None, network).ends == simulate(schedule, None, network).ends


@pytest.mark.parametrize("sends", ["eager", "rendezvous"])
def test_a_schedule_that_stops_says_so(sends: str) -> None:
    schedule = build("1f1b", 2, 2)
    stuck = replace(schedule, ops=((), schedule.ops[1]), batches=(((),), schedule.batches[1]))
    with pytest.raises(CannotRunError, match="stops before its end"):
        simulate(stuck, None, Network(sends=sends))  # type: ignore[arg-type]


def test_transfers_can_be_sliced() -> None:
    transfers = simulate(build("1f1b", 2, 2)).transfers
    assert list(transfers[1:3]) == [transfers[1], transfers[2]]
    assert len(transfers) == 4
