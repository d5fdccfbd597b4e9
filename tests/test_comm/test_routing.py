"""Routing against choosing one token at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.routing import route, updated_bias


@st.composite
def gates(draw: st.DrawFn) -> dict[str, Any]:
    """Scores with many equals among them, with and without a bias."""
    nodes = draw(st.integers(1, 4))
    experts = nodes * draw(st.integers(1, 4))
    limit = draw(st.integers(1, nodes))
    k = draw(st.integers(1, limit * (experts // nodes)))
    tokens = draw(st.integers(0, 4))
    scores = draw(st.lists(st.integers(1, 5), min_size=tokens * experts, max_size=tokens * experts))
    bias = draw(st.none() | st.lists(st.integers(-3, 3), min_size=experts, max_size=experts))
    return {
        "scores": torch.tensor(scores, dtype=torch.float64).reshape(tokens, experts) / 8,
        "experts_per_token": k,
        "nodes": nodes,
        "node_limit": limit,
        "bias": None if bias is None else torch.tensor(bias, dtype=torch.float64) / 8,
    }


def slowly(gate: dict[str, Any]) -> list[list[int]]:
    """The same choice by sorting plain lists; of equals the first."""
    nodes, limit, k = gate["nodes"], gate["node_limit"], gate["experts_per_token"]
    found = []
    for row in gate["scores"].tolist():
        bias = gate["bias"].tolist() if gate["bias"] is not None else [0] * len(row)
        choice = [score + more for score, more in zip(row, bias, strict=True)]
        held = len(row) // nodes
        worth = [
            sum(sorted(choice[node * held : (node + 1) * held], reverse=True)[: max(1, k // limit)])
            for node in range(nodes)
        ]
        best = sorted(range(nodes), key=lambda node: (-worth[node], node))[:limit]
        inside = [expert for expert in range(len(row)) if expert // held in best]
        found.append(sorted(inside, key=lambda expert: (-choice[expert], expert))[:k])
    return found


@given(gates())
def test_the_choice_is_that_of_a_loop(gate: dict[str, Any]) -> None:
    assert route(**gate).experts.tolist() == slowly(gate)


@given(gates())
def test_nodes_are_limited_and_weights_add_up(gate: dict[str, Any]) -> None:
    experts, weights = route(**gate, scale=2.5)
    # As kernels want them.
    assert experts.is_contiguous()
    assert weights.is_contiguous()
    held = gate["scores"].shape[1] // gate["nodes"]
    for chosen in experts.tolist():
        assert len(set(chosen)) == gate["experts_per_token"]
        assert len({expert // held for expert in chosen}) <= gate["node_limit"]
    assert torch.allclose(weights.sum(dim=1), torch.full((len(weights),), 2.5, dtype=torch.float64))
    own = gate["scores"].gather(1, experts)
    assert torch.allclose(
        weights * own.sum(dim=1, keepdim=True), 2.5 * own
    )  # no bias in the weights


def test_the_bias_evens_the_load() -> None:
    """Scores that favour some experts: after some steps each has nearly the mean."""
    generator = torch.Generator().manual_seed(1)
    favour = torch.linspace(0, 2, 16)
    bias, first = torch.zeros(16), None
    for _ in range(300):
        scores = torch.sigmoid(torch.randn(512, 16, generator=generator) + favour)
        load = torch.bincount(
            route(scores, 4, nodes=4, node_limit=2, bias=bias).experts.flatten(), minlength=16
        )
        first = load if first is None else first
        bias = updated_bias(bias, load, 0.01)
    assert first is not None
    mean = 512 * 4 / 16
    assert float(first.max()) > 2 * mean
    assert float(load.max()) < 1.35 * mean
    assert float(load.min()) > 0.65 * mean


SCORES = torch.full((2, 8), 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": SCORES[0]}, "scores are"),
        ({"scores": SCORES.long()}, "floating point"),
        ({"scores": SCORES * float("nan")}, "positive and finite"),
        ({"scores": -SCORES}, "positive and finite"),
        ({"nodes": 3}, "nearest legal: experts = 9"),
        ({"nodes": 2, "node_limit": 3}, "nearest legal: node_limit = 2"),
        (
            {"nodes": 2, "node_limit": 1, "experts_per_token": 5},
            "nearest legal: experts_per_token = 4",
        ),
        ({"experts_per_token": 0}, "experts_per_token must be an int of at least 1"),
        ({"bias": torch.zeros(7)}, "nearest legal: shape"),
    ],
)
def test_what_cannot_be_routed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        route(**{"scores": SCORES, "experts_per_token": 2, **changes})


def test_a_load_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="one count an expert"):
        updated_bias(torch.zeros(4), torch.ones(3), 0.1)
