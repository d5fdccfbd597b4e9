"""Sizes that break a rule are refused with the values and the nearest that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import Routes, Sizes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError


@pytest.mark.parametrize(
    ("changes", "got", "nearest"),
    [
        ({"rdma_ring": 5}, "rdma_ring = 5, rdma_chunk = 2", "rdma_ring = 6"),
        ({"rdma_ring": 2}, "rdma_ring = 2, rdma_chunk = 2", "rdma_ring = 4"),
        ({"large_warp": 3}, "large_warp = 3, rdma_chunk = 2", "large_warp = 2"),
        ({"nvl_ring": 1}, "nvl_ring = 1, nvl_chunk = 2", "nvl_ring = 2"),
        ({"sub_ring": 2}, "sub_ring = 2, nvl_chunk = 2, large_warp = 2", "sub_ring = 3"),
        ({"parts": 0}, "parts = 0", "parts = 1"),
    ],
)
def test_a_broken_rule_is_told(changes: dict[str, int], got: str, nearest: str) -> None:
    with pytest.raises(InputError) as raised:
        Sizes(**changes)
    assert (raised.value.got, raised.value.nearest) == (got, nearest)
    name, value = nearest.split(" = ")
    Sizes(**{**changes, name: int(value)})


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_nearest_legal_ring_is_legal(ring: int, chunk: int) -> None:
    try:
        Sizes(rdma_ring=ring, rdma_chunk=chunk, large_warp=1)
    except InputError as error:
        nearest = int(error.nearest.split(" = ")[1])
        legal = range(2 * chunk, 99, chunk)
        assert abs(nearest - ring) == min(abs(one - ring) for one in legal)
        Sizes(rdma_ring=nearest, rdma_chunk=chunk, large_warp=1)


@pytest.mark.parametrize(
    ("tokens", "rule"),
    [
        ((((4,),), ()), "numbered from 0 to 3"),
        ((((-2,),), ()), "numbered from 0 to 3"),
        ((((1, 1),), ()), "each expert once"),
        (((),), "every rank has its tokens"),
    ],
)
def test_a_routing_that_cannot_be_is_refused(tokens: tuple, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Routes(Topology(2, 1), 4, tokens)
