"""The smallest protocol, in every schedule, in both memories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import explore, ring_world, run
from dualpipe_ref.comm.protocol.sites import Weakened, weakenings


@pytest.mark.parametrize("is_weak", [False, True])
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize(("messages", "size"), [(0, 1), (3, 1), (5, 2), (5, 3)])
def test_every_schedule_is_right(messages: int, size: int, reduce: bool, is_weak: bool) -> None:
    found = explore(ring_world(messages, size), is_weak, reduce=reduce)
    assert found.is_right, found
    assert found.results == 1


@pytest.mark.parametrize("weakened", weakenings("ring"))
def test_no_order_is_superfluous(weakened: Weakened) -> None:
    found = explore(ring_world(2, 2), weakened=weakened)
    assert found.kind == "wrong"
    assert found.trace[-1].site == "ring.receiver.slot"


@given(st.integers(0, 6), st.integers(1, 4), st.integers(1, 3), st.integers(), st.booleans())
def test_runs_are_right(messages: int, size: int, parts: int, seed: int, is_weak: bool) -> None:
    outcome = run(ring_world(messages, size, parts), seed, is_weak)
    assert outcome.is_right, outcome


@given(st.integers(), st.booleans())
def test_a_seed_gives_the_same_run(seed: int, is_weak: bool) -> None:
    one, other = (run(ring_world(4, 2), seed, is_weak, keep=100) for _ in range(2))
    assert one.trace == other.trace
    assert len(one.trace) == one.steps
