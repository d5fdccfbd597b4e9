"""The exact chance of a mistake against runs that are drawn, and against the search."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import explore, rdma_ring_world, ring_world, run
from dualpipe_ref.comm.protocol.chance import chance
from dualpipe_ref.comm.protocol.rewrites import later, sooner, without
from dualpipe_ref.comm.protocol.run import Rewrite

MISTAKES = {
    "none": None,
    "no credit": without("ring.sender.credit"),
    "tail first": later("ring.sender.slot", "ring.sender.tail"),
    "early credit": sooner("ring.receiver.credit", "ring.receiver.tail"),
    "never": without("ring.receiver.credit"),
}


@settings(max_examples=40)
@given(st.integers(0, 5), st.integers(1, 3), st.sampled_from(list(MISTAKES)))
def test_there_is_a_chance_where_the_search_finds_a_schedule(
    messages: int, size: int, name: str
) -> None:
    world, rewrite = ring_world(messages, size), MISTAKES[name]
    found, likely = explore(world, rewrite=rewrite, reduce=False).kind, chance(world, rewrite)
    assert (likely.wrong > 0) == (found == "wrong")
    if found != "wrong":
        assert (likely.deadlock > 0) == (found == "deadlock")
    assert 0 <= likely.wrong + likely.deadlock <= 1


@pytest.mark.parametrize(
    ("rewrite", "messages", "size"),
    [
        (MISTAKES["no credit"], 4, 3),
        (MISTAKES["early credit"], 6, 2),
        (MISTAKES["tail first"], 2, 2),
    ],
)
def test_drawn_runs_come_near_it(rewrite: Rewrite, messages: int, size: int) -> None:
    """Every fifth seed is an even schedule; 2000 of them are within five standard deviations."""
    wrong = float(chance(ring_world(messages, size), rewrite).wrong)
    runs = 2000
    found = sum(
        run(ring_world(messages, size), seed, rewrite=rewrite).kind == "wrong"
        for seed in range(0, 5 * runs, 5)
    )
    assert abs(found - runs * wrong) < 5 * (runs * wrong * (1 - wrong)) ** 0.5


def test_by_hand() -> None:
    """One message, one part, tail first. Credit, tail; then the reader has to see the tail and read before one write:
    the half of the half of the runs."""
    world = ring_world(messages=1, size=1, parts=1)
    assert chance(world, MISTAKES["tail first"]).wrong == Fraction(1, 4)


def test_a_deadlock_is_certain_where_no_credit_comes_back() -> None:
    assert chance(ring_world(3, 2), MISTAKES["never"])[:2] == (0, 1)


def test_a_ring_over_rdma_has_none() -> None:
    assert chance(rdma_ring_world(4, 2))[:2] == (0, 0)
