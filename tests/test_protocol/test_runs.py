"""Dispatch and combine under generated schedules, routings and sizes, in both memories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import Dispatch, Routes, Sizes, run
from dualpipe_ref.comm.topology import Topology

from .phases import both, legal_sizes, routes_of, routings


@settings(max_examples=40, deadline=None)
@given(routings(), legal_sizes(), st.integers(0, 10**6), st.booleans())
def test_every_run_is_as_the_oracle_has_it(
    routes: Routes, sizes: Sizes, seed: int, is_weak: bool
) -> None:
    dispatch, combine = both(routes, sizes, seed, is_weak)
    assert dispatch.is_right, dispatch
    assert combine is not None
    assert combine.is_right, combine


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("is_weak", [False, True])
def test_all_tokens_to_one_expert(seed: int, is_weak: bool) -> None:
    routes = routes_of(2, 2, {rank: [(3,)] * 6 for rank in range(4)})
    assert [one.kind for one in both(routes, Sizes(), seed, is_weak)] == ["finished"] * 2


def random_routes(topology: Topology, experts: int, tokens: int, each: int) -> Routes:
    draw = random.Random(0)
    return Routes(
        topology,
        experts,
        tuple(
            tuple(tuple(draw.sample(range(experts), each)) for _ in range(tokens))
            for _ in range(topology.ranks)
        ),
    )


@pytest.mark.parametrize("is_weak", [False, True])
def test_64_ranks(is_weak: bool) -> None:
    """8 nodes of 8 GPUs, 8 of 256 experts a token: the size of DeepSeek's deployment."""
    routes = random_routes(Topology(8, 8), experts=256, tokens=4, each=8)
    assert [one.kind for one in both(routes, Sizes(), 1, is_weak)] == ["finished"] * 2


def test_results_do_not_depend_on_the_schedule() -> None:
    routes = random_routes(Topology(2, 2), experts=8, tokens=6, each=3)
    dispatch = Dispatch(routes, Sizes())
    found = [dispatch.received(run(dispatch.world, seed).records) for seed in range(10)]
    assert all(one == found[0] for one in found)
