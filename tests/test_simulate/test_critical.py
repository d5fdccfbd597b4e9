"""The critical path: no gap, nothing else that binds, and what lies on it counts."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualpipe_ref.schedule import InputError, Op, Schedule, build
from dualpipe_ref.simulate import (
    Costs,
    CriticalPath,
    Network,
    Step,
    Timeline,
    critical_path,
    simulate,
)

from .reference import Reference, duration_of
from .strategies import runs, schedules

Run = tuple[Schedule, Costs, Network]


def check_path(path: CriticalPath, timeline: Timeline) -> None:
    assert path.steps[0].start == 0
    assert path.steps[-1].end == timeline.makespan
    for one, other in pairwise(path.steps):
        assert one.end == other.start
    assert sum(path.by_kind.values()) == timeline.makespan
    spans = {(rank, span) for rank, spans in enumerate(timeline.spans) for span in spans}
    for step in path.steps:
        if isinstance(step.what, Op):
            assert (step.rank, (step.what, step.start, step.end)) in spans


@given(runs())
def test_the_path_is_a_chain_from_zero_to_the_makespan(run: Run) -> None:
    timeline = simulate(*run)
    check_path(critical_path(timeline, run[2]), timeline)


@given(runs())
def test_a_longer_op_on_the_path_makes_a_longer_run(run: Run) -> None:
    schedule, costs, network = run
    timeline = simulate(*run)
    steps = critical_path(timeline, network).steps
    ops = [step for step in steps if isinstance(step.what, Op)]
    step = ops[len(ops) // 2]
    longer, plain = Fraction(1, 1000), duration_of(schedule, costs)

    def duration(rank: int, op: Op) -> Fraction:
        extra = longer if (rank, op) == (step.rank, step.what) else 0
        return plain(rank, op) + extra  # type: ignore[no-any-return]

    assert Reference(schedule, duration, network).makespan >= timeline.makespan + longer


@given(runs())
def test_the_path_names_all_time_that_latency_costs(run: Run) -> None:
    """One more unit of latency costs at least one for each message of the path that arrives."""
    schedule, costs, network = run
    assume(network.bandwidth is None)
    timeline = simulate(schedule, costs, network)
    hops = sum(step.kind == "message" for step in critical_path(timeline, network).steps)
    later = simulate(schedule, costs, replace(network, latency=network.latency + 1))
    assert later.makespan >= timeline.makespan + hops


def test_a_path_of_known_steps() -> None:
    network = Network(latency=1)
    timeline = simulate(build("gpipe", 2, 1), Costs(F=2), network)
    steps = critical_path(timeline, network).steps
    assert [(step.kind, step.rank, step.start, step.end) for step in steps] == [
        ("F", 0, 0, 2),
        ("message", 0, 2, 3),
        ("F", 1, 3, 5),
        ("B", 1, 5, 7),
        ("message", 1, 7, 8),
        ("B", 0, 8, 10),
    ]


def test_a_busy_channel_is_on_the_path() -> None:
    network = Network(latency=Fraction(1, 2), bandwidth=Fraction(1, 10))
    timeline = simulate(build("gpipe", 2, 3), Costs(), network)
    kinds = [step.kind for step in critical_path(timeline, network).steps]
    assert kinds.count("message") == 6  # three forward one after the other, three back
    assert "message,message,message" in ",".join(kinds)


def test_a_late_receiver_is_on_the_path() -> None:
    """Under rendezvous rank 0 waits, before its second forward, for rank 1 to take the first."""
    network = Network(sends="rendezvous")
    timeline = simulate(build("gpipe", 2, 3), Costs(F=(1, 5)), network)
    steps = critical_path(timeline, network).steps
    check_path(CriticalPath(steps), timeline)


@given(schedules(), st.sampled_from(("eager", "rendezvous")))
def test_floats_find_their_way_too(schedule: Schedule, sends: str) -> None:
    network = Network(latency=0.1, bandwidth=0.7, sends=sends)  # type: ignore[arg-type]
    timeline = simulate(schedule, Costs(0.3, 0.7, 0.1, FB=1.1), network)
    path = critical_path(timeline, network)
    assert sum(path.by_kind.values()) == pytest.approx(timeline.makespan)


def test_a_planted_fault_is_named() -> None:
    timeline = simulate(build("dualpipe", 4, 8))
    step = next(step for step in critical_path(timeline).steps if step.start > 4)
    place = list(timeline.schedule.ops[step.rank]).index(step.what)  # type: ignore[arg-type]
    starts = [list(row) for row in timeline.starts]
    starts[step.rank][place] = step.start + Fraction(1, 7)
    late = replace(timeline, starts=tuple(map(tuple, starts)))
    with pytest.raises(InputError, match="something that it waited for"):
        critical_path(late)


def test_the_wrong_network_is_named() -> None:
    timeline = simulate(build("gpipe", 2, 3), Costs(), Network(bandwidth=Fraction(1, 10)))
    with pytest.raises(InputError, match="nearest legal"):
        critical_path(timeline, Network(bandwidth=Fraction(1, 9)))


def test_check_path_sees_a_gap() -> None:
    timeline = simulate(build("gpipe", 2, 1))
    steps: list[Step] = list(critical_path(timeline).steps)
    del steps[2]
    with pytest.raises(AssertionError):
        check_path(CriticalPath(tuple(steps)), timeline)
