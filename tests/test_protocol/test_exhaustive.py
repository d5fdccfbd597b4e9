"""Small sizes in every schedule: 2 nodes of 2 GPUs, rings of two slots that wrap around."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dualpipe_ref.comm.protocol import Combine, Dispatch, Routes, Sizes, explore, handle_of, run
from dualpipe_ref.comm.protocol.heads import encoded_lanes
from dualpipe_ref.comm.protocol.mutations import MUTATIONS, SIZES, Mutation
from dualpipe_ref.comm.protocol.world import World

from .phases import routes_of

ONE_WARP = Sizes(
    senders=1,
    window=2,
    rdma_ring=2,
    rdma_chunk=1,
    nvl_ring=2,
    nvl_chunk=1,
    sub_ring=2,
    large_warp=1,
    receivers=1,
    parts=1,
)
TWO_WARPS = replace(ONE_WARP, senders=2, receivers=2)
LARGE_WARP = Sizes(
    senders=2,
    window=2,
    rdma_ring=4,
    rdma_chunk=2,
    nvl_ring=2,
    nvl_chunk=2,
    sub_ring=3,
    large_warp=2,
    receivers=2,
    parts=1,
)
TO_ONE = routes_of(2, 2, {0: [(3,)] * 3})
TO_TWO = routes_of(2, 2, {0: [(2, 3)] * 3})
ACROSS = routes_of(2, 2, {rank: [(3 - rank,)] for rank in range(4)})
LONG = routes_of(2, 2, {0: [(2, 3)] * 5})
CASES = [
    (routes_of(2, 2, {}), ONE_WARP),
    (TO_ONE, ONE_WARP),
    (TO_ONE, TWO_WARPS),
    (ACROSS, ONE_WARP),
    pytest.param(TO_TWO, TWO_WARPS, marks=pytest.mark.slow),
    pytest.param(LONG, LARGE_WARP, marks=pytest.mark.slow),
]


def phases(routes: Routes, sizes: Sizes) -> list[World]:
    dispatch = Dispatch(routes, sizes)
    handle = handle_of(dispatch, run(dispatch.world, 0).records)
    return [dispatch.world, Combine(routes, sizes, handle).world]


@pytest.mark.parametrize(("routes", "sizes"), CASES)
def test_every_schedule_gives_one_result(routes: Routes, sizes: Sizes) -> None:
    for world in phases(routes, sizes):
        found = explore(world)
        assert found.is_right, found
        assert found.results == 1
        print(found)


@pytest.mark.parametrize(
    "routes",
    [
        routes_of(1, 1, {0: [(0,)] * 2}),
        pytest.param(routes_of(1, 1, {0: [(0,)] * 4}), marks=pytest.mark.slow),
    ],
)
def test_every_schedule_on_weak_memory_gives_one_result(routes: Routes) -> None:
    for world in phases(routes, ONE_WARP):
        found = explore(world, is_weak=True)
        assert found.is_right, found
        assert found.results == 1
        print(found)


def test_a_limit_is_told() -> None:
    found = explore(phases(TO_ONE, ONE_WARP)[0], most_states=50)
    assert (found.kind, found.is_right) == ("unfinished", False)


# For each mistake a routing and sizes at which it shows.
APART = routes_of(2, 2, {0: [(2,), (0,)] * 3})
MIXED = routes_of(2, 2, {0: [(2,), (3,), (2,), (2, 3), (2, 3)]})
SHOWN_BY = {
    "credit before the slots are read": (routes_of(2, 2, {0: [(3,)] * 4}), TWO_WARPS),
    "no hints in the receiver": (APART, TWO_WARPS),
    "no pre-pass": (APART, TWO_WARPS),
    "maximum instead of minimum of the receivers": (TO_ONE, TWO_WARPS),
}
SHOWN = [one for one in MUTATIONS if one.sizes is SIZES]


@pytest.mark.parametrize("mutation", SHOWN, ids=lambda one: f"{one.phase}: {one.name}")
def test_a_mistake_is_found_with_a_shortest_schedule(mutation: Mutation) -> None:
    if mutation.phase == "dispatch":
        routes, sizes = SHOWN_BY.get(mutation.name, (TO_ONE, TWO_WARPS))
        world = Dispatch(routes, sizes, mutation.finish).world
    else:
        large = replace(LARGE_WARP, nvl_chunk=1, sub_ring=2)
        routes, sizes = SHOWN_BY.get(mutation.name, (MIXED, large))
        dispatch = Dispatch(routes, sizes)
        handle = handle_of(dispatch, run(dispatch.world, 0).records)
        pre_pass = encoded_lanes if mutation.has_pre_pass else (lambda heads: tuple(heads))
        world = Combine(routes, sizes, handle, pre_pass).world
    found = explore(world, rewrite=mutation.rewrite, most_states=40_000)
    print(found)
    assert found.kind in ("wrong", "deadlock")
    assert found.trace
