"""What the property tests draw: legal schedules, exact costs, networks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

from hypothesis import strategies as st

from dualpipe_ref.schedule import KINDS, InputError, Schedule, build
from dualpipe_ref.simulate import Costs, Network

cached_build = cache(build)
positive = st.builds(Fraction, st.integers(1, 24), st.integers(1, 6))


@st.composite
def schedules(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Schedule:
    kind = draw(st.sampled_from(kinds))
    if kind == "dualpipe":
        ranks = 2 * draw(st.integers(1, 4))
        return cached_build(kind, ranks, 2 * ranks - 2 + 2 * draw(st.integers(0, 3)))
    if kind == "dualpipev":
        ranks = draw(st.integers(2, 4))
        return cached_build(kind, ranks, 2 * ranks - 1 + draw(st.integers(0, 4)))
    if kind == "chimera":
        ranks = 2 * draw(st.integers(1, 3))
        return cached_build(kind, ranks, ranks * draw(st.integers(1, 2)))
    ranks, microbatches = draw(st.integers(2, 5)), draw(st.integers(1, 9))
    if kind == "interleaved":
        try:
            return cached_build(kind, ranks, microbatches, draw(st.integers(2, 3)))
        except InputError:
            return cached_build(kind, ranks, ranks, 2)
    return cached_build(kind, ranks, microbatches)


def uniform_costs() -> st.SearchStrategy[Costs]:
    maybe = st.none() | positive
    return st.builds(Costs, positive, positive, positive, maybe, maybe)


@st.composite
def costs_for(draw: st.DrawFn, schedule: Schedule) -> Costs:
    costs = draw(uniform_costs())
    stages = schedule.placement.stages
    for name in draw(st.sets(st.sampled_from(("F", "I", "W", "B", "FB")))):
        costs = replace(costs, **{name: draw(st.tuples(*[positive] * stages))})
    if draw(st.booleans()):
        costs = replace(costs, rank_scale=draw(st.tuples(*[positive] * schedule.ranks)))
    return costs


def networks() -> st.SearchStrategy[Network]:
    return st.builds(
        Network,
        latency=st.just(0) | positive,
        bandwidth=st.none() | positive,
        sends=st.sampled_from(("eager", "rendezvous")),
        activation_size=positive,
        gradient_size=positive,
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[Schedule, Costs, Network]:
    schedule = draw(schedules())
    return schedule, draw(costs_for(schedule)), draw(networks())
