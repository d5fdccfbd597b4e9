"""The protocol's counts and oracle say the same as the package's, which are in torch."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm import reference
from dualpipe_ref.comm.layout import layout_of
from dualpipe_ref.comm.protocol import Combine, Dispatch, Routes, Sizes, handle_of, run
from dualpipe_ref.comm.routing import Routing

from .phases import routings


def tables(routes: Routes) -> list[torch.Tensor]:
    """Each rank's routing as a table, short rows filled up with -1."""
    width = max([1, *(len(token) for mine in routes.tokens for token in mine)])
    return [
        torch.tensor(
            [[*token, *[-1] * (width - len(token))] for token in mine], dtype=torch.int64
        ).reshape(len(mine), width)
        for mine in routes.tokens
    ]


@given(routings(), st.integers(1, 3))
def test_counts_are_those_of_the_layout(routes: Routes, channels: int) -> None:
    nodes = range(routes.topology.nodes)
    ranks = range(routes.topology.ranks)
    for rank, table in enumerate(tables(routes)):
        layout = layout_of(table, routes.topology, routes.experts)
        wanted = [[one in routes.wanted[rank][t] for one in ranks] for t in range(len(table))]
        assert layout.to_rank.tolist() == wanted
        assert layout.tokens_per_rank.tolist() == [routes.from_rank[to][rank] for to in ranks]
        assert layout.tokens_per_node.tolist() == [
            routes.to_node_before(rank, node, channels, channels) for node in nodes
        ]
        for channel in range(channels + 1):
            start = routes.channel(rank, channel, channels).start if channel < channels else None
            assert layout.to_rank[:start].sum(dim=0).tolist() == [
                routes.to_rank_before(rank, to, channel, channels) for to in ranks
            ]


@given(routings(), st.integers(1, 4))
def test_channels_share_all_tokens(routes: Routes, channels: int) -> None:
    for rank, mine in enumerate(routes.tokens):
        shares = [routes.channel(rank, channel, channels) for channel in range(channels)]
        assert [token for share in shares for token in share] == list(range(len(mine)))


@settings(max_examples=15, deadline=None)
@given(routings(), st.integers(0, 1000))
def test_rows_and_sums_are_those_of_the_reference(routes: Routes, seed: int) -> None:
    """What the roles moved, evaluated in bfloat16 in the order in which they added it, has the reference's bits."""
    dispatch = Dispatch(routes, Sizes())
    records = run(dispatch.world, seed).records
    combine = Combine(routes, Sizes(), handle_of(dispatch, records))
    sums = combine.sums(run(combine.world, seed).records)

    generator = torch.Generator().manual_seed(seed)
    routing = [Routing(table, torch.ones(table.shape)) for table in tables(routes)]
    inputs = [
        torch.randn(len(mine), 3, generator=generator).to(torch.bfloat16) for mine in routes.tokens
    ]
    got = reference.dispatch(inputs, routing, routes.topology, routes.experts)
    for rank, rows in enumerate(dispatch.received(records)):
        assert [[row.rank, row.token] for row in rows] == got[rank].source.tolist()

    made = [torch.randn(one.tokens.shape, generator=generator).to(torch.bfloat16) for one in got]
    expected = reference.combine(
        made, got, [len(one) for one in inputs], routes.topology, "two levels"
    )
    row_of = [
        {(row.rank, row.token): at for at, row in enumerate(rows)}
        for rows in dispatch.received(records)
    ]

    def added(parts: list[torch.Tensor]) -> torch.Tensor:
        total = torch.zeros(3)
        for part in parts:
            total += part.float()
        return total.to(torch.bfloat16)

    for rank, mine in enumerate(sums):
        for token, nodes in enumerate(mine):
            by_node = [
                added([made[one][row_of[one][rank, token]] for one in ranks]) for ranks in nodes
            ]
            assert torch.equal(added(by_node), expected[rank][token])
