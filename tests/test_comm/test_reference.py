"""The oracle against sending and adding one token at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

from dualpipe_ref import InputError
from dualpipe_ref.comm.reference import Received, combine, dispatch
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology

from .cases import Case, cases


def made_by_experts(received: Received, rank: int, held: int) -> torch.Tensor:
    """What a rank's experts make: expert e multiplies a token with e + 1, weighted."""
    factors = torch.where(received.experts >= 0, received.experts + rank * held + 1, 0)
    return received.tokens * (received.weights * factors).sum(dim=1, keepdim=True)


@given(cases())
def test_every_token_comes_to_each_of_its_ranks_once_and_in_order(case: Case) -> None:
    held = case.topology.experts_per_rank(case.experts)
    received = dispatch(case.inputs, case.routings, case.topology, case.experts)
    for rank, got in enumerate(received):
        wanted = [
            (source, token)
            for source, routing in enumerate(case.routings)
            for token, chosen in enumerate(routing.experts.tolist())
            if any(expert >= 0 and expert // held == rank for expert in chosen)
        ]
        assert [tuple(pair) for pair in got.source.tolist()] == wanted
        for place, (source, token) in enumerate(wanted):
            assert torch.equal(got.tokens[place], case.inputs[source][token])
            for slot, expert in enumerate(case.routings[source].experts[token].tolist()):
                here = expert >= 0 and expert // held == rank
                assert int(got.experts[place, slot]) == (expert - rank * held if here else -1)
                weight = float(case.routings[source].weights[token, slot])
                assert float(got.weights[place, slot]) == (weight if here else 0)
        assert int(got.tokens_per_expert.sum()) == int((got.experts >= 0).sum())


@given(cases())
def test_what_comes_back_is_the_weighted_sum_over_experts(case: Case) -> None:
    """All numbers here are small multiples of 1/64, so every order of sums gives the same bits."""
    held = case.topology.experts_per_rank(case.experts)
    received = dispatch(case.inputs, case.routings, case.topology, case.experts)
    outputs = [made_by_experts(got, rank, held) for rank, got in enumerate(received)]
    counts = [len(tokens) for tokens in case.inputs]
    for order in ("flat", "two levels"):
        back = combine(outputs, received, counts, case.topology, order)
        for tokens, routing, result in zip(case.inputs, case.routings, back, strict=True):
            factors = torch.where(routing.experts >= 0, routing.experts + 1, 0)
            assert torch.equal(
                result, tokens * (routing.weights * factors).sum(dim=1, keepdim=True)
            )


@given(cases(torch.float32))
def test_scales_travel_with_their_tokens(case: Case) -> None:
    scales = [torch.arange(len(one) * 2.0).view(-1, 2) for one in case.inputs]
    received = dispatch(case.inputs, case.routings, case.topology, case.experts, scales)
    for got in received:
        wanted = [scales[rank][token] for rank, token in got.source.tolist()]
        assert got.scales is not None
        assert torch.equal(got.scales, torch.stack(wanted) if wanted else torch.zeros(0, 2))
    with pytest.raises(InputError, match=r"scales are \[T, S\]"):
        dispatch(
            case.inputs,
            case.routings,
            case.topology,
            case.experts,
            [torch.zeros(len(one) + 1, 1) for one in case.inputs],
        )


def test_a_sum_in_two_levels_rounds_where_the_forwarder_does() -> None:
    """256 + 0.75 + 0.75 in bfloat16: 258 if added at once, 257.5 is not a number of that type."""
    topology = Topology(2, 2)
    one = torch.ones(1, 1, dtype=torch.bfloat16)
    routing = Routing(torch.tensor([[0, 1, 2, 3]]), torch.ones(1, 4))
    none = Routing(routing.experts[:0], routing.weights[:0])
    received = dispatch([one, one[:0], one[:0], one[:0]], [routing, none, none, none], topology, 4)
    outputs = [torch.tensor([[value]], dtype=torch.bfloat16) for value in (256, 0.75, 0.75, 0.0)]
    flat = combine(outputs, received, [1, 0, 0, 0], topology, "flat")[0]
    levels = combine(outputs, received, [1, 0, 0, 0], topology, "two levels")[0]
    assert float(flat) == 258  # 257.5 is rounded once, to the even neighbour
    assert float(levels) == 256 + 0  # 256.75 becomes 256 at the forwarder, 256.75 again 256
    exact = 256 + 1.5
    assert abs(float(flat) - exact) < abs(float(levels) - exact)


@given(cases(torch.float32))
def test_a_lost_token_is_seen(case: Case) -> None:
    """The planted fault: without its last received token a rank's sums differ."""
    received = dispatch(case.inputs, case.routings, case.topology, case.experts)
    counts = [len(tokens) for tokens in case.inputs]
    outputs = [torch.ones_like(got.tokens) for got in received]
    whole = combine(outputs, received, counts, case.topology)
    for rank, got in enumerate(received):
        if len(got.tokens):
            less = list(received)
            less[rank] = got._replace(tokens=got.tokens[:-1], source=got.source[:-1])
            fewer = [one[:-1] if place == rank else one for place, one in enumerate(outputs)]
            back = combine(fewer, less, counts, case.topology)
            assert not all(map(torch.equal, whole, back))


def test_what_does_not_fit_is_refused() -> None:
    tokens, routing = torch.ones(2, 3), Routing(torch.tensor([[0], [1]]), torch.ones(2, 1))
    topology = Topology(1, 2)
    with pytest.raises(InputError, match="1 and 1 for 2 ranks"):
        dispatch([tokens], [routing], topology, 2)
    with pytest.raises(InputError, match="on rank 1"):
        dispatch([tokens, torch.ones(2, 4)], [routing, routing], topology, 2)
    with pytest.raises(InputError, match=r"tokens are \[T, H\]"):
        dispatch([tokens, tokens[:1]], [routing, routing], topology, 2)
    received = dispatch([tokens, tokens], [routing, routing], topology, 2)
    with pytest.raises(InputError, match="one output for each received token"):
        combine([torch.ones(1, 3), received[1].tokens], received, [2, 2], topology)
