"""Each mistake is caught by some schedule; the protocol without one passes all of them."""

from __future__ import annotations

import pytest

from dualpipe_ref.comm.protocol.mutations import (
    MUTATIONS,
    Mutation,
    most_in_flight,
    mutated,
    order_table,
    tried,
)
from dualpipe_ref.comm.protocol.sites import SCOPES, SITES, weakenings

SEEDS = 12
RIGHT = [Mutation("as it should be", phase) for phase in ("dispatch", "combine")]


@pytest.mark.parametrize("right", RIGHT, ids=lambda one: one.phase)
def test_the_protocol_passes_all_schedules(right: Mutation) -> None:
    assert tried(right, SEEDS).caught == 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.phase}: {one.name}")
def test_a_mistake_is_caught(mutation: Mutation) -> None:
    found = tried(mutation, SEEDS)
    assert found.caught >= 1
    if mutation.is_judged_by_flight:
        assert found.caught == found.of
        return
    assert mutated(mutation, found.first_seed).kind in found.kinds


def test_a_legal_ring_has_more_than_one_chunk_under_way() -> None:
    assert max(most_in_flight(RIGHT[0], seed) for seed in range(SEEDS)) == 2


@pytest.mark.parametrize("phase", ["dispatch", "combine"])
def test_no_order_is_superfluous(phase: str) -> None:
    table = order_table(phase, schedules=6)
    assert [one.name for one in table if not one.caught] == []
    assert len(table) == len(weakenings(phase))


@pytest.mark.parametrize("phase", ["dispatch", "combine"])
def test_order_is_needed_where_the_table_says(phase: str) -> None:
    """The scope that is called enough is: weak memory passes with it at every site."""
    from dualpipe_ref.comm.protocol.sites import Weakened

    right = Mutation("as it should be", phase)
    wider = [one for one in SITES.values() if one.enough != one.scope and phase in one.name]
    assert wider
    for site in wider:
        assert SCOPES.index(site.enough) < SCOPES.index(site.scope)
        for seed in range(6):
            assert mutated(right, seed, Weakened(site.name, site.enough)).is_right


def test_every_ordered_site_is_weakened() -> None:
    ordered = {one.name for one in SITES.values() if one.is_ordered}
    phases = ("ring", "rdma_ring", "dispatch", "combine")
    weakened = {one.site for phase in phases for one in weakenings(phase)}
    assert ordered == weakened
