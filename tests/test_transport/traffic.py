"""What ranks send in tests of the versions that are made of kernels, and the comparison of what comes with the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm import reference
from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology

# How experts are chosen: evenly, with empty places, all on one expert, or only on the first rank's.
KINDS = ("even", "holes", "one expert", "one rank", "nowhere")


class Traffic(NamedTuple):
    """One round: what each rank sends, and from what it was drawn."""

    topology: Topology
    experts: int
    outgoing: list[Outgoing]

    @property
    def per_token(self) -> int:
        return self.outgoing[0].routing.experts.shape[1]

    @property
    def hidden(self) -> int:
        return self.outgoing[0].tokens.shape[1]


def drawn(
    nodes: int,
    gpus: int,
    most: int,
    seed: int,
    *,
    hidden: int = 24,
    per_token: int = 3,
    experts_per_rank: int = 2,
    kind: str = "holes",
    dtype: torch.dtype = torch.bfloat16,
    scales: int | None = None,
) -> Traffic:
    """Ranks with 0 to `most` tokens; the same numbers for the same seed."""
    topology = Topology(nodes, gpus)
    experts = topology.ranks * experts_per_rank
    per_token = min(per_token, experts)
    draw = torch.Generator().manual_seed(seed)
    outgoing = []
    for _ in range(topology.ranks):
        count = int(torch.randint(0, most + 1, (1,), generator=draw))
        chosen = _chosen(kind, count, per_token, experts, experts_per_rank, draw)
        routing = Routing(chosen, torch.rand(count, per_token, generator=draw))
        tokens = torch.randn(count, hidden, generator=draw).to(dtype)
        along = None if scales is None else torch.rand(count, scales, generator=draw)
        outgoing.append(Outgoing(tokens, routing, along))
    return Traffic(topology, experts, outgoing)


def _chosen(
    kind: str, count: int, per_token: int, experts: int, held: int, draw: torch.Generator
) -> Tensor:
    places = torch.rand(count, experts, generator=draw).argsort(dim=1)[:, :per_token]
    if kind == "nowhere":
        return torch.full_like(places, -1)
    if kind == "one expert":
        places = torch.full_like(places, -1)
        places[:, 0] = experts - 1
    if kind == "one rank":
        places = torch.where(places < held, places, -1)
    if kind == "holes":
        places = places.masked_fill(torch.rand(places.shape, generator=draw) < 0.2, -1)
    return places.contiguous()


@st.composite
def traffics(draw: st.DrawFn, dtype: torch.dtype = torch.bfloat16, scales: bool = False) -> Traffic:
    """1 to 4 nodes of 1 to 4 GPUs, 0 to 20 tokens a rank."""
    nodes, gpus = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    step = 16 // dtype.itemsize
    return drawn(
        nodes,
        gpus,
        draw(st.integers(0, 20 if nodes * gpus <= 4 else 8)),
        draw(st.integers(0, 2**32 - 1)),
        hidden=step * draw(st.integers(1, 6)),
        per_token=draw(st.integers(1, 4)),
        experts_per_rank=draw(st.integers(1, 3)),
        kind=draw(st.sampled_from(KINDS)),
        dtype=dtype,
        scales=draw(st.integers(1, 5)) if scales else None,
    )


def oracle(traffic: Traffic) -> list[Received]:
    scales = [one.scales for one in traffic.outgoing]
    return reference.dispatch(
        [one.tokens for one in traffic.outgoing],
        [one.routing for one in traffic.outgoing],
        traffic.topology,
        traffic.experts,
        None if scales[0] is None else scales,
    )


def bits(one: Tensor) -> Tensor:
    return one.flatten().contiguous().view(torch.uint8)


def dispatched(exchange: Exchange, traffic: Traffic, handles: Any = None) -> list[Any]:
    """Dispatch, compare every bit with the oracle, give the handles."""
    got = exchange.dispatch(traffic.outgoing, traffic.experts, handles)
    for rank, ((one, _), wanted) in enumerate(zip(got, oracle(traffic), strict=True)):
        for name, mine, right in zip(Received._fields, one, wanted, strict=True):
            assert (mine is None) == (right is None), name
            if mine is not None:
                assert mine.dtype == right.dtype, (rank, name)
                assert mine.shape == right.shape, (rank, name)
                assert torch.equal(bits(mine), bits(right)), (rank, name)
    return [handle for _, handle in got]


class Back(NamedTuple):
    """Rows [M, H] and weights [M, K] that ranks send back."""

    rows: list[Tensor]
    weights: list[Tensor]


def made(traffic: Traffic, dtype: torch.dtype, seed: int = 0) -> Back:
    """Numbers of very different sizes, so that the order of sums shows even in a float32 sum of bfloat16."""
    draw = torch.Generator().manual_seed(seed)

    def numbers(count: int, width: int, dtype: torch.dtype) -> Tensor:
        size = torch.randint(-20, 21, (count, width), generator=draw).float().exp2()
        return (torch.randn(count, width, generator=draw) * size).to(dtype)

    counts = [len(one.tokens) for one in oracle(traffic)]
    return Back(
        [numbers(count, traffic.hidden, dtype) for count in counts],
        [numbers(count, traffic.per_token, torch.float32) for count in counts],
    )


def sums(traffic: Traffic, rows: Sequence[Tensor], order: Any = "two levels") -> list[Tensor]:
    """What the oracle makes of rows that come back."""
    counts = [len(one.tokens) for one in traffic.outgoing]
    received = [one._replace(tokens=row) for one, row in zip(oracle(traffic), rows, strict=True)]
    return reference.combine(rows, received, counts, traffic.topology, order)


def combined(
    exchange: Exchange, traffic: Traffic, handles: Any, back: Back, weights: bool = True
) -> list[Tensor]:
    """Combine, compare every bit with the oracle, give the sums."""
    got = exchange.combine(back.rows, handles, back.weights if weights else None)
    for (total, _), wanted in zip(got, sums(traffic, back.rows), strict=True):
        assert total.dtype == wanted.dtype
        assert torch.equal(bits(total), bits(wanted))
    if weights:
        for (_, total), wanted in zip(got, sums(traffic, back.weights), strict=True):
            assert total is not None
            assert torch.equal(bits(total), bits(wanted))
    else:
        assert all(total is None for _, total in got)
    return [total for total, _ in got]
