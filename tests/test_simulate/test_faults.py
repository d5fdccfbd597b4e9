"""Engines with one fault each: the checks see every one of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import Costs, Network, Timeline, engine, simulate

from .checks import check_against_reference, check_books, check_dependencies, check_no_overlap

NETWORK = Network(latency=Fraction(1, 3), bandwidth=Fraction(2, 3))
COSTS = Costs(2, 3, Fraction(3, 2), FB=5, rank_scale=(1, 2, 1))


def check_all(network: Network = NETWORK) -> None:
    for kind in ("1f1b", "dualpipev"):
        schedule = build(kind, 3, 6)
        timeline = check_against_reference(schedule, COSTS, network)
        check_books(timeline)
        check_no_overlap(timeline)
        check_dependencies(timeline, network)


@pytest.mark.parametrize("sends", ["eager", "rendezvous"])
def test_the_engine_itself_passes(sends: str) -> None:
    check_all(replace(NETWORK, sends=sends))  # type: ignore[arg-type]


def test_a_dropped_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(engine._Walk):
        def __init__(self, schedule: Schedule, costs: Costs, network: Network) -> None:
            super().__init__(schedule, costs, network)
            (kind, forward, backward, _, emits), *others = self.ops[1]
            self.ops = [self.ops[0], [(kind, forward, backward, (), emits), *others], *self.ops[2:]]

    monkeypatch.setattr(engine, "_Walk", Careless)
    with pytest.raises(AssertionError):
        check_all()
    timeline = simulate(build("1f1b", 3, 6), COSTS, NETWORK)
    with pytest.raises(AssertionError):
        check_dependencies(timeline, NETWORK)


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (Network, "transfer_time", lambda network, size: network.occupancy(size)),
        (Network, "transfer_time", lambda network, size: network.latency),
        (Network, "occupancy", lambda network, size: 0),
        (Costs, "of", lambda costs, kind, forward_stage=0, backward_stage=0: 1),
        (
            Costs,
            "durations",
            lambda costs, schedule, rank: [costs.of(op.kind) for op in schedule.ops[rank]],
        ),
        (engine._Walk, "rendezvous", engine._Walk.eager),
    ],
    ids=["no latency", "no bandwidth", "free channel", "unit costs", "no scale", "eager instead"],
)
def test_a_fault_in_one_function(
    owner: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(AssertionError):
        check_all(replace(NETWORK, sends="rendezvous"))


def moved(timeline: Timeline, rank: int, place: int, by: int) -> Timeline:
    starts = [list(row) for row in timeline.starts]
    starts[rank][place] += by
    return replace(timeline, starts=tuple(map(tuple, starts)))


def test_ops_that_overlap() -> None:
    timeline = simulate(build("1f1b", 3, 6), COSTS, NETWORK)
    with pytest.raises(AssertionError):
        check_no_overlap(moved(timeline, 0, 1, -1))
