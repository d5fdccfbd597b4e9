"""Layouts against counting one token at a time."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.layout import expected_spread, layout_of
from dualpipe_ref.comm.routing import route
from dualpipe_ref.comm.topology import Topology

from .cases import Case, cases


@given(cases())
def test_a_layout_counts_what_a_loop_counts(case: Case) -> None:
    topology, per_rank = case.topology, case.topology.experts_per_rank(case.experts)
    for routing in case.routings:
        layout = layout_of(routing.experts, topology, case.experts)
        seen_rank, seen_node = [0] * topology.ranks, [0] * topology.nodes
        seen_expert = [0] * case.experts
        for token, chosen in enumerate(routing.experts.tolist()):
            ranks = {expert // per_rank for expert in chosen if expert >= 0}
            nodes = {topology.node_of(rank) for rank in ranks}
            for rank in range(topology.ranks):
                assert bool(layout.to_rank[token, rank]) == (rank in ranks)
                wanted = seen_rank[rank] if rank in ranks else -1
                assert int(layout.places_in_rank[token, rank]) == wanted
                seen_rank[rank] += rank in ranks
            for node in range(topology.nodes):
                wanted = seen_node[node] if node in nodes else -1
                assert int(layout.places_in_node[token, node]) == wanted
                seen_node[node] += node in nodes
            for expert in chosen:
                if expert >= 0:
                    seen_expert[expert] += 1
        assert layout.tokens_per_rank.tolist() == seen_rank
        assert layout.tokens_per_node.tolist() == seen_node
        assert layout.tokens_per_expert.tolist() == seen_expert


@given(cases())
def test_bytes_are_what_each_token_crosses(case: Case) -> None:
    topology = case.topology
    for sender, routing in enumerate(case.routings):
        layout = layout_of(routing.experts, topology, case.experts)
        rdma = nvlink = 0
        for row in layout.to_rank.tolist():
            wanted = [rank for rank, needed in enumerate(row) if needed]
            nodes = {topology.node_of(rank) for rank in wanted}
            rdma += len(nodes - {topology.node_of(sender)})
            nvlink += sum(topology.local_of(rank) != topology.local_of(sender) for rank in wanted)
        assert layout.bytes_over(sender, 7) == (7 * rdma, 7 * nvlink)


V3 = Topology(8, 8)


@pytest.mark.parametrize("how", ["random nodes", "gate"])
def test_the_spread_of_v3s_shape(how: str) -> None:
    """256 experts on 8 x 8 GPUs, 8 a token, at most 4 nodes: 3.63 and 7.36 with nodes drawn evenly, 3.95 and 7.49 with V3's gate."""
    generator = torch.Generator().manual_seed(0)
    tokens = 20_000
    scores = torch.rand(tokens, 256, generator=generator).clamp_min(1e-6)
    if how == "random nodes":
        drawn = torch.rand(tokens, 8, generator=generator).argsort(dim=1)[:, :4]
        allowed = torch.zeros(tokens, 8, dtype=torch.bool).scatter_(1, drawn, value=True)
        chosen = (
            scores.masked_fill(~allowed.repeat_interleave(32, dim=1), -1).topk(8, dim=1).indices
        )
        nodes, gpus = expected_spread(V3, 256, 8, 4)
        assert (round(nodes, 2), round(gpus, 2)) == (3.63, 7.36)
    else:
        chosen = route(scores, 8, nodes=8, node_limit=4).experts
        nodes, gpus = 3.95, 7.49
    layout = layout_of(chosen, V3, 256)
    # Five standard errors: a token's nodes and GPUs vary by less than 0.6 and 0.8.
    assert float(layout.to_node.sum()) / tokens == pytest.approx(nodes, abs=0.021 + 0.005)
    assert float(layout.to_rank.sum()) / tokens == pytest.approx(gpus, abs=0.028 + 0.005)


def test_v3s_bytes_per_rank() -> None:
    """4,096 tokens of 7,472 bytes (FP8): about 97 MB over RDMA, and 3.6 nodes a token less the own one."""
    nodes, _ = expected_spread(V3, 256, 8, 4)
    remote = nodes * 7 / 8
    assert 4096 * 7472 * remote / 1e6 == pytest.approx(97, abs=0.5)
    assert 4096 * 14_384 * remote / 1e6 == pytest.approx(187, abs=0.5)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.data())
def test_the_closed_form_is_the_mean_over_all_draws(
    nodes: int, gpus: int, per_rank: int, data: st.DataObject
) -> None:
    topology = Topology(nodes, gpus)
    limit = data.draw(st.integers(1, nodes))
    pool = limit * gpus * per_rank
    k = data.draw(st.integers(1, min(pool, 3)))
    draws = list(combinations(range(pool), k))
    by_node = sum(len({e // (gpus * per_rank) for e in one}) for one in draws) / len(draws)
    by_gpu = sum(len({e // per_rank for e in one}) for one in draws) / len(draws)
    found = expected_spread(topology, topology.ranks * per_rank, k, limit)
    assert found == pytest.approx((by_node, by_gpu))


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        (torch.tensor([[0, 1]], dtype=torch.int32), "in int64"),
        (torch.tensor([0, 1]), "experts of a token"),
        (torch.tensor([[0, -2]]), "got -2 for token 0; nearest legal: -1"),
        (torch.tensor([[0, 1], [2, 8]]), "got 8 for token 1; nearest legal: 7"),
        (torch.tensor([[3, 1, 3]]), "expert 3 twice for token 0"),
    ],
)
def test_what_is_no_routing_is_refused(routing: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        layout_of(routing, Topology(2, 2), experts=8)


def test_experts_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(InputError, match="nearest legal: experts = 8"):
        Topology(2, 2).experts_per_rank(7)
    with pytest.raises(InputError, match="nodes must be an int of at least 1"):
        Topology(0, 2)
