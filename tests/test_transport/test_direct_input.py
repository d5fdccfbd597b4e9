"""Input that direct slots refuse before anything moves: the rule, the values, the rank, and the nearest legal value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dualpipe_ref import InputError
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.direct_plan import Warps
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from tests.test_transport.test_direct import direct_of
from tests.test_transport.traffic import Traffic, dispatched, drawn, made

SIZES = {"hidden": 24, "most_tokens": 9, "experts_per_token": 3}


@pytest.mark.parametrize(
    ("topology", "transport", "sizes", "says"),
    [
        ((5, 1), {}, {}, "one of the nodes; got 5 for 4 lanes; nearest legal: 4"),
        ((1, 5), {}, {}, "one of the GPUs of a node; got 5 for 4 lanes; nearest legal: 4"),
        (
            (1, 1),
            {"sms_per_rank": 4},
            {"num_sms": 5},
            "num_sms = 5 where a rank may use 4; nearest legal: num_sms = 4",
        ),
        ((1, 1), {}, {"num_sms": 0}, "num_sms must be an int of at least 1"),
        ((1, 1), {}, {"hidden": 0}, "hidden must be an int of at least 1"),
        ((1, 1), {}, {"most_tokens": -1}, "most_tokens must be an int of at least 1"),
        ((1, 1), {}, {"experts_per_token": 0}, "experts_per_token must be an int"),
        ((1, 1), {}, {"run": 0}, "run must be an int of at least 1"),
        ((1, 1), {}, {"scales_per_token": -1}, "scales_per_token must be an int of at least 0"),
        ((1, 1), {}, {"combine_warps": Warps(1, 0, 1)}, "warps of a role must be an int"),
        ((1, 1), {}, {"dispatch_warps": Warps(8, 20, 8)}, "got 36 warps; nearest legal: 16"),
        ((1, 1), {}, {"seconds": 0}, "seconds = 0; nearest legal: seconds = 100"),
    ],
)
def test_sizes_that_do_not_fit(topology: Any, transport: Any, sizes: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        Direct(Emulated(Topology(*topology), **transport), **{**SIZES, **sizes})
    assert says in str(caught.value)


def of_rank_2(change: Callable[[Outgoing], Outgoing]) -> Callable[[list[Outgoing]], None]:
    def apply(outgoing: list[Outgoing]) -> None:
        outgoing[2] = change(outgoing[2])

    return apply


def routed(one: Outgoing, **changed: Any) -> Outgoing:
    return one._replace(routing=one.routing._replace(**changed))


def with_expert(one: Outgoing, place: int, expert: int) -> Outgoing:
    experts = one.routing.experts.clone()
    experts[0, place] = expert
    return routed(one, experts=experts)


def cut(one: Outgoing, count: int) -> Outgoing:
    repeat = -(-count // len(one.tokens))
    tokens = one.tokens.repeat(repeat, 1)[:count]
    experts, weights = (value.repeat(repeat, 1)[:count] for value in one.routing)
    return routed(one._replace(tokens=tokens), experts=experts, weights=weights)


INPUTS: list[tuple[str, Callable[[Outgoing], Outgoing], str]] = [
    ("expert too large", lambda one: with_expert(one, 0, 8), "got 8 for token 0 on rank 2"),
    ("expert too small", lambda one: with_expert(one, 1, -2), "got -2 for token 0 on rank 2"),
    (
        "expert twice",
        lambda one: with_expert(one, 0, int(one.routing.experts[0, 1])),
        "twice for token 0 on rank 2",
    ),
    (
        "experts in int32",
        lambda one: routed(one, experts=one.routing.experts.int()),
        "int64; got torch.int32",
    ),
    (
        "weights in bfloat16",
        lambda one: routed(one, weights=one.routing.weights.bfloat16()),
        "float32; got torch.bfloat16 on rank 2; nearest legal: torch.float32",
    ),
    (
        "tokens in columns",
        lambda one: one._replace(tokens=one.tokens.t().contiguous().t()),
        "tokens are contiguous; got strides (1, ",
    ),
    (
        "weights in columns",
        lambda one: routed(one, weights=one.routing.weights.t().contiguous().t()),
        "weights are contiguous; got strides (1, ",
    ),
    (
        "experts in columns",
        lambda one: routed(one, experts=one.routing.experts.t().contiguous().t()),
        "experts are contiguous; got strides (1, ",
    ),
    (
        "another hidden size",
        lambda one: one._replace(tokens=one.tokens[:, :16].contiguous()),
        "got H = 16 on rank 2; nearest legal: H = 24",
    ),
    ("too many tokens", lambda one: cut(one, 10), "room for 9 tokens; got 10 on rank 2"),
    (
        "too many experts of a token",
        lambda one: routed(
            one,
            experts=torch.cat((one.routing.experts, -torch.ones(len(one.tokens), 1).long()), 1),
            weights=torch.cat((one.routing.weights, torch.ones(len(one.tokens), 1)), 1),
        ),
        "room for 3 experts of a token; got 4 on rank 2; nearest legal: 3",
    ),
    (
        "another type",
        lambda one: one._replace(tokens=one.tokens.half()),
        "one type of tokens; got torch.bfloat16 on rank 0, 1, 3; torch.float16 on rank 2",
    ),
    (
        "scales on one rank",
        lambda one: one._replace(scales=torch.ones(len(one.tokens), 1)),
        "one number of scales of a token; got 0 on rank 0, 1, 3; 1 on rank 2",
    ),
    (
        "scales of another count",
        lambda one: one._replace(scales=torch.ones(1, 1)),
        "scales are [T, S] in float32",
    ),
    (
        "tokens that begin between vectors",
        lambda one: one._replace(
            tokens=torch.cat((torch.zeros(1).bfloat16(), one.tokens.flatten()))[1:].view(-1, 24)
        ),
        "tokens begin at a multiple of 16 bytes; got 2 bytes after one on rank 2",
    ),
]


def four_ranks() -> Traffic:
    traffic = drawn(2, 2, 9, seed=3, kind="even")
    assert 3 <= len(traffic.outgoing[2].tokens) <= 9
    return traffic


@pytest.mark.parametrize(
    ("change", "says"), [one[1:] for one in INPUTS], ids=[one[0] for one in INPUTS]
)
def test_tokens_that_do_not_fit(change: Callable[[Outgoing], Outgoing], says: str) -> None:
    traffic = four_ranks()
    direct = Direct(Emulated(traffic.topology), num_sms=2, **SIZES)
    of_rank_2(change)(traffic.outgoing)
    with pytest.raises(InputError) as caught:
        direct.dispatch(traffic.outgoing, traffic.experts)
    assert says in str(caught.value)


def test_rows_are_whole_vectors() -> None:
    traffic = drawn(1, 1, 3, seed=1, hidden=10)
    direct = Direct(Emulated(traffic.topology), hidden=10, most_tokens=3, experts_per_token=3)
    with pytest.raises(InputError) as caught:
        direct.dispatch(traffic.outgoing, traffic.experts)
    assert str(caught.value) == (
        "kernels move rows of a multiple of 16 bytes; got H = 10 in torch.bfloat16, 20 bytes on rank 0; nearest legal: H = 16"
    )


def test_messages_that_are_larger_than_slots() -> None:
    traffic = drawn(1, 1, 3, seed=1, dtype=torch.float32)
    direct = direct_of(traffic, Emulated(traffic.topology), number_bytes=2)
    with pytest.raises(InputError, match="a message fits into a slot of 80 bytes; got 128 bytes"):
        direct.dispatch(traffic.outgoing, traffic.experts)


def test_inputs_and_handles_are_those_of_all_ranks_here() -> None:
    traffic = four_ranks()
    direct = direct_of(traffic, Emulated(traffic.topology))
    with pytest.raises(InputError, match="one input for each rank here; got 3; nearest legal: 4"):
        direct.dispatch(traffic.outgoing[:3], traffic.experts)
    handles = dispatched(direct, traffic)
    with pytest.raises(InputError, match="one handle for each rank here; got 3; nearest legal: 4"):
        direct.dispatch(traffic.outgoing, traffic.experts, handles[:3])
    other = drawn(2, 2, 9, seed=4, kind="even")
    with pytest.raises(InputError, match="a handle is used again for the routing"):
        direct.dispatch(other.outgoing, other.experts, handles)


OUTPUTS: list[tuple[str, Callable[[list[Any], list[Any]], None], str]] = [
    ("a row less", lambda rows, weights: rows.__setitem__(2, rows[2][1:]), "got {less} on rank 2"),
    (
        "another size",
        lambda rows, weights: rows.__setitem__(2, rows[2][:, :16].contiguous()),
        "the hidden size of the tokens",
    ),
    (
        "in float16",
        lambda rows, weights: rows.__setitem__(2, rows[2].half()),
        "float32 or bfloat16; got torch.float16 on rank 2",
    ),
    (
        "another type",
        lambda rows, weights: rows.__setitem__(2, rows[2].float()),
        "all ranks have one type of outputs",
    ),
    (
        "in columns",
        lambda rows, weights: rows.__setitem__(2, rows[2].t().contiguous().t()),
        "outputs are contiguous",
    ),
    (
        "weights in bfloat16",
        lambda rows, weights: weights.__setitem__(2, weights[2].bfloat16()),
        "weights are [M, K] in float32; got torch.bfloat16",
    ),
    (
        "weights of another number",
        lambda rows, weights: weights.__setitem__(2, weights[2][:, :2].contiguous()),
        "one number of weights",
    ),
    (
        "too many weights",
        lambda rows, weights: weights.__setitem__(2, weights[2].repeat(1, 2)),
        "room for 3 weights of a token; got 6 on rank 2; nearest legal: 3",
    ),
]


@pytest.mark.parametrize(
    ("change", "says"), [one[1:] for one in OUTPUTS], ids=[one[0] for one in OUTPUTS]
)
def test_outputs_that_do_not_fit(change: Callable[[Any, Any], None], says: str) -> None:
    traffic = four_ranks()
    direct = direct_of(traffic, Emulated(traffic.topology))
    handles, back = dispatched(direct, traffic), made(traffic, torch.bfloat16)
    change(back.rows, back.weights)
    with pytest.raises(InputError) as caught:
        direct.combine(back.rows, handles, back.weights)
    assert says.format(less=len(back.rows[2])) in str(caught.value)
