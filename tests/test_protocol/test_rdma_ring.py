"""One ring over RDMA, in every schedule, in both memories; and each mistake of either ring, found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import explore, rdma_ring_world, run
from dualpipe_ref.comm.protocol.ring_mistakes import RING_MISTAKES, RingMistake
from dualpipe_ref.comm.protocol.sites import Weakened, weakenings

RIGHT = [one for one in RING_MISTAKES if one.name.endswith("none")]
MISTAKES = [one for one in RING_MISTAKES if one not in RIGHT]
SIZES = [(0, 1, 1), (3, 1, 1), (3, 2, 1), (4, 2, 2), (5, 4, 2)]


@pytest.mark.parametrize("is_weak", [False, True])
@pytest.mark.parametrize(("messages", "size", "chunk"), SIZES)
def test_every_schedule_is_right(messages: int, size: int, chunk: int, is_weak: bool) -> None:
    found = explore(rdma_ring_world(messages, size, chunk), is_weak)
    assert found.is_right, found
    assert found.results == 1


@pytest.mark.parametrize("weakened", weakenings("rdma_ring"))
def test_no_order_is_superfluous(weakened: Weakened) -> None:
    found = explore(rdma_ring_world(2, 2), weakened=weakened)
    assert found.kind == "wrong"
    assert found.trace[-1].site == "rdma_ring.receiver.slot"


@given(st.integers(0, 9), st.integers(1, 3), st.integers(1, 3), st.integers(), st.booleans())
def test_runs_are_right(messages: int, chunks: int, chunk: int, seed: int, is_weak: bool) -> None:
    outcome = run(rdma_ring_world(messages, chunks * chunk, chunk), seed, is_weak)
    assert outcome.is_right, outcome


def test_a_chunk_that_would_wrap_is_told() -> None:
    found = explore(rdma_ring_world(messages=6, size=3, chunk=2))
    assert "ends behind" in found.why


@pytest.mark.parametrize("right", RIGHT, ids=lambda one: one.name)
@pytest.mark.parametrize("messages", range(6))
def test_without_a_mistake_nothing_is_found(right: RingMistake, messages: int) -> None:
    for size in range(1, 4):
        assert right.explored(messages, size).is_right


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.name)
def test_a_mistake_is_found_where_the_ring_wraps_twice(mistake: RingMistake) -> None:
    for size in range(1, 4):
        found = mistake.explored(2 * size + 1, size)
        assert found.kind in ("wrong", "deadlock")
        assert found.trace


def test_events_name_places_and_values() -> None:
    """What a picture is made of: the last read of a torn slot saw nothing."""
    no_release = next(one for one in MISTAKES if one.name == "no release")
    *_, store, look, first, last = no_release.explored(2, 2).trace
    assert (store.place, store.value) == (look.place, look.value) == ("tail", 1)
    assert (first.place, first.value) == ("slot [0].0", 0)
    assert (last.place, last.value) == ("slot [0].1", None)


def test_events_of_a_queue_name_what_they_change() -> None:
    other_queue = next(one for one in MISTAKES if "queue pair" in one.name)
    added = [one for one in other_queue.explored(2, 2).trace if one.role == "ring data queue"]
    assert ("ring RDMA tail", 1) in [(one.place, one.value) for one in added]
