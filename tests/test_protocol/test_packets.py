"""What the packets of a run say: the crossings that `simulate.volumes` counts, in an order that can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import Combine, Dispatch, Routes, Sizes, handle_of
from dualpipe_ref.comm.protocol.operations import Put, Steps
from dualpipe_ref.comm.protocol.packets import NVLINK, OWN, RDMA, ROW, SUM, Traffic, traffic
from dualpipe_ref.simulate.volumes import hops

from .phases import legal_sizes, routes_of, routings


def both(routes: Routes, sizes: Sizes, seed: int) -> dict[str, Traffic]:
    dispatch = Dispatch(routes, sizes)
    out = traffic(dispatch, seed)
    back = traffic(
        Combine(routes, sizes, handle_of(dispatch, out.outcome.records)),
        seed,
    )
    return {"dispatch": out, "combine": back}


def crossed(way: str, found: Traffic) -> Counter[tuple[int, int, int, int, bool]]:
    """(rank, token, from, to, is over RDMA) of each crossing of a link, the way back turned round."""
    crossings = [one for one in found.packets if one.kind in (RDMA, NVLINK)]
    return Counter(
        (one.rank, one.token, *ends[:: 1 if way == "dispatch" else -1], one.kind == RDMA)
        for one in crossings
        for ends in [(one.source, one.target)]
    )


def counted(routes: Routes) -> Counter[tuple[int, int, int, int, bool]]:
    """The same from `simulate.volumes`, which knows no protocol."""
    gpus = routes.topology.gpus_per_node
    return Counter(
        (rank, token, *hop)
        for rank, mine in enumerate(routes.wanted)
        for token, wanted in enumerate(mine)
        for hop in hops(rank, wanted, gpus)
    )


@settings(max_examples=25, deadline=None)
@given(routings(), legal_sizes(), st.integers(0, 10**6))
def test_links_are_crossed_as_volumes_counts(routes: Routes, sizes: Sizes, seed: int) -> None:
    for way, found in both(routes, sizes, seed).items():
        assert found.outcome.is_right
        assert crossed(way, found) == counted(routes)
        assert found.fullest <= sizes.rdma_ring


@settings(max_examples=25, deadline=None)
@given(routings(), legal_sizes(), st.integers(0, 10**6))
def test_nothing_is_lost_or_doubled_and_causes_come_first(
    routes: Routes, sizes: Sizes, seed: int
) -> None:
    found = both(routes, sizes, seed)
    pairs = [
        (rank, token, one)
        for rank, mine in enumerate(routes.wanted)
        for token, wanted in enumerate(mine)
        for one in wanted
    ]
    rows = [one for one in found["dispatch"].packets if one.kind == ROW]
    assert sorted((one.rank, one.token, one.target) for one in rows) == sorted(pairs)
    home = [one for one in found["combine"].packets if one.kind == ROW]
    assert {(one.rank, one.token): one.parts for one in home} == {
        (rank, token): len(wanted)
        for rank, mine in enumerate(routes.wanted)
        for token, wanted in enumerate(mine)
        if wanted
    }
    assert all(one.target == one.rank for one in home)
    for one in found.values():
        assert [packet.tick for packet in one.packets] == sorted(p.tick for p in one.packets)
        assert one.ticks <= one.outcome.steps
    check_out(found["dispatch"])
    check_back(found["combine"])


def check_out(found: Traffic) -> None:
    """Whoever hands a token on, or puts it into a row, has it since an earlier tick."""
    here: dict[tuple[int, int, int], int] = {}
    for packet in found.packets:
        key = packet.rank, packet.token
        if packet.kind != ROW:
            came = here.get((*key, packet.source), 0)
            assert packet.source == packet.rank or 0 < came < packet.tick
            here.setdefault((*key, packet.target), packet.tick)
        else:
            assert here[(*key, packet.target)] < packet.tick


def check_back(found: Traffic) -> None:
    """A sum comes after the rows in it: rows of a node before the node's sum, that before the one at home."""
    for packet in found.packets:
        ours = [one for one in found.packets if one[4:6] == packet[4:6]]
        if packet.kind == RDMA:
            (node,) = (one for one in ours if one.kind == SUM and one.target == packet.source)
            rows = [one for one in ours if one.kind in (NVLINK, OWN)]
            into = [one for one in rows if one.target == packet.source]
            assert len(into) == node.parts == packet.parts
            assert max(one.tick for one in into) < node.tick < packet.tick
        elif packet.kind == ROW:
            assert max(one.tick for one in ours if one.kind not in (ROW, SUM)) < packet.tick


def test_sums_are_made_in_two_places() -> None:
    """Token 0 of rank 0 has rows on GPUs 0, 2 and 3: two are added in node 1, two at home."""
    found = both(routes_of(2, 2, {0: [(0, 2, 3)]}), Sizes(), seed=1)["combine"]
    sums = {(one.target, one.parts) for one in found.packets if one.kind == SUM}
    assert sums == {(0, 1), (2, 2), (0, 2)}
    (over_rdma,) = (one for one in found.packets if one.kind == RDMA)
    assert over_rdma[1:] == (RDMA, 2, 0, 0, 0, 2)


def twice(steps: Steps) -> Steps:
    """A planted fault that the oracle cannot see: every put is posted twice."""
    result = None
    while True:
        try:
            operation = steps.send(result)
        except StopIteration:
            return
        if isinstance(operation, Put):
            yield operation
        result = yield operation


@pytest.mark.parametrize("seed", range(5))
def test_a_message_that_crosses_twice_is_seen(seed: int) -> None:
    routes = routes_of(2, 2, {rank: [(0, 2, 3), (1,)] for rank in range(4)})
    found = traffic(Dispatch(routes, Sizes()), seed, mistake=twice)
    assert found.outcome.is_right
    assert crossed("dispatch", found) != counted(routes)
    right = traffic(Dispatch(routes, Sizes()), seed)
    assert crossed("dispatch", right) == counted(routes)
