"""How small a sub-ring of combine may be: by the rule, and what every schedule says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dualpipe_ref.comm.protocol import Combine, Dispatch, Explored, Sizes, explore, handle_of, run

from .phases import routes_of

ROUTES = routes_of(1, 2, {0: [(0, 1), (0,), (0, 1), (1,), (0, 1)]})


def explored(chunk: int, warps: int, sub_ring: int) -> Explored:
    """Combine on two GPUs with a sub-ring of any size."""
    sizes = Sizes(
        senders=1,
        window=1,
        rdma_ring=2 * warps,
        rdma_chunk=warps,
        nvl_chunk=chunk,
        sub_ring=sub_ring,
        large_warp=warps,
        receivers=1,
        parts=1,
        _breaks_rules=True,
    )
    dispatch = Dispatch(ROUTES, replace(sizes, sub_ring=9))
    handle = handle_of(dispatch, run(dispatch.world, 0).records)
    return explore(Combine(ROUTES, sizes, handle).world)


SMALL = [(1, 2), (2, 2)]
LARGER = [
    pytest.param(1, 3, marks=pytest.mark.slow),
    pytest.param(2, 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("chunk", "warps"), [*SMALL, *LARGER])
def test_the_rule_has_one_slot_to_spare(chunk: int, warps: int) -> None:
    rule = chunk + warps - 1
    for sub_ring in (rule, rule - 1):
        found = explored(chunk, warps, sub_ring)
        print(chunk, warps, sub_ring, found)
        assert found.is_right, found


@pytest.mark.parametrize(("chunk", "warps"), [(1, 3), (2, 3)])
def test_two_slots_less_than_the_rule_are_too_few(chunk: int, warps: int) -> None:
    found = explored(chunk, warps, chunk + warps - 3)
    assert found.kind == "deadlock"
    assert any(event.site == "combine.forwarder.barrier.arrive" for event in found.trace)
