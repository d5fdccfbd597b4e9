"""The oracle: dispatch and combine of all ranks in one process, in plain torch, with every order of sums stated.

Every other version of the all-to-all is compared with this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.layout import Layout, layout_of
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

# "flat" adds what the ranks send in their order; "two levels" adds inside each node first and rounds
# there to the tokens' type, as the GPU must that forwards the sum to another node.
SumOrder = Literal["flat", "two levels"]


class Received(NamedTuple):
    """What one rank gets: M tokens, ordered by their source's rank and then by their place there.

    `tokens` [M, H]; `source` [M, 2] int64, (rank, token); `experts` [M, K] int64, numbered from 0 on this rank, -1 for
    experts elsewhere; `weights` [M, K], 0 where `experts` is -1; `tokens_per_expert` [E / R] int64; `scales` [M, S] float32
    where the tokens travelled with scales.
    """

    tokens: Tensor
    source: Tensor
    experts: Tensor
    weights: Tensor
    tokens_per_expert: Tensor
    scales: Tensor | None = None


def dispatch(
    inputs: Sequence[Tensor],
    routings: Sequence[Routing],
    topology: Topology,
    experts: int,
    scales: Sequence[Tensor] | None = None,
) -> list[Received]:
    """Send each rank's tokens [T, H], with their `scales` [T, S] if there are, to all ranks that hold one of their experts, each rank once.

    >>> routing = Routing(torch.tensor([[1, 3]]), torch.tensor([[0.75, 0.25]]))
    >>> nothing = Routing(routing.experts[:0], routing.weights[:0])
    >>> got = dispatch([torch.ones(1, 2), torch.ones(0, 2)], [routing, nothing], Topology(1, 2), experts=4)
    >>> got[1].experts.tolist(), got[1].weights.tolist(), got[1].source.tolist()
    ([[-1, 1]], [[0.0, 0.25]], [[0, 0]])
    """
    layouts = _layouts(inputs, routings, topology, experts)
    if scales is not None:
        _check_scales(inputs, scales)
    return [
        _received(rank, inputs, routings, scales, layouts, topology.experts_per_rank(experts))
        for rank in range(topology.ranks)
    ]


def _layouts(
    inputs: Sequence[Tensor], routings: Sequence[Routing], topology: Topology, experts: int
) -> list[Layout]:
    if not len(inputs) == len(routings) == topology.ranks:
        raise InputError(
            "every rank has its tokens and their routing",
            f"{len(inputs)} and {len(routings)} for {topology.ranks} ranks",
        )
    for rank, (tokens, routing) in enumerate(zip(inputs, routings, strict=True)):
        shapes = [tuple(one.shape) for one in (tokens, *routing)]
        if tokens.dim() != 2 or shapes[1] != shapes[2] or len(tokens) != len(routing.experts):
            raise InputError(
                "tokens are [T, H], experts and weights [T, K]",
                f"{', '.join(map(str, shapes))} on rank {rank}",
            )
        if tokens.shape[1] != inputs[0].shape[1] or tokens.dtype != inputs[0].dtype:
            raise InputError(
                "all ranks have one hidden size and type",
                f"{tokens.shape[1]}, {tokens.dtype} on rank {rank}",
                f"{inputs[0].shape[1]}, {inputs[0].dtype}",
            )
    return [layout_of(routing.experts, topology, experts) for routing in routings]


def _check_scales(inputs: Sequence[Tensor], scales: Sequence[Tensor]) -> None:
    wanted = [(len(tokens), *scales[0].shape[1:]) for tokens in inputs]
    got = [tuple(one.shape) for one in scales]
    if got != wanted or scales[0].dim() != 2:
        raise InputError("each rank's scales are [T, S], with one S on all", f"{got}", f"{wanted}")


def _received(
    rank: int,
    inputs: Sequence[Tensor],
    routings: Sequence[Routing],
    scales: Sequence[Tensor] | None,
    layouts: Sequence[Layout],
    held: int,
) -> Received:
    chosen = [layout.to_rank[:, rank].nonzero().flatten() for layout in layouts]
    source = torch.cat(
        [
            torch.stack((torch.full_like(one, origin), one), dim=1)
            for origin, one in enumerate(chosen)
        ]
    )
    experts = _rows([routing.experts for routing in routings], chosen)
    here = (experts >= 0) & (experts // held == rank)
    local = torch.where(here, experts - rank * held, -1)
    return Received(
        _rows(inputs, chosen),
        source,
        local,
        _rows([routing.weights for routing in routings], chosen) * here,
        torch.bincount(local[here], minlength=held),
        None if scales is None else _rows(scales, chosen),
    )


def _rows(parts: Sequence[Tensor], chosen: Sequence[Tensor]) -> Tensor:
    """The chosen rows of each rank's part, rank after rank."""
    return torch.cat([part[rows] for part, rows in zip(parts, chosen, strict=True)])


def combine(
    outputs: Sequence[Tensor],
    received: Sequence[Received],
    tokens: Sequence[int],
    topology: Topology,
    order: SumOrder = "flat",
) -> list[Tensor]:
    """Bring the outputs [M, H], one for each received token, back to their sources and add them up there.

    An output already holds what its rank's experts made of the token, multiplied with their weights. `tokens` are the T
    of each rank. Sums are made in float32 (float64 for float64) in the stated order, then rounded to the type of the
    outputs. A token that nobody received gets zeros.

    >>> routing = Routing(torch.tensor([[0, 1]]), torch.tensor([[0.75, 0.25]]))
    >>> nothing = Routing(routing.experts[:0], routing.weights[:0])
    >>> got = dispatch([torch.ones(1, 2), torch.ones(0, 2)], [routing, nothing], Topology(1, 2), experts=2)
    >>> made = [one.tokens * one.weights.sum(dim=1, keepdim=True) for one in got]
    >>> combine(made, got, [1, 0], Topology(1, 2))[0]
    tensor([[1., 1.]])
    """
    for rank, (output, one) in enumerate(zip(outputs, received, strict=True)):
        if output.shape != one.tokens.shape:
            raise InputError(
                "there is one output for each received token",
                f"{tuple(output.shape)} on rank {rank}",
                str(tuple(one.tokens.shape)),
            )
    if order == "flat":
        return _added(outputs, received, tokens, range(topology.ranks))
    by_node = [
        _added(outputs, received, tokens, _ranks_of(node, topology))
        for node in range(topology.nodes)
    ]
    return [_sum([node[rank] for node in by_node]) for rank in range(topology.ranks)]


def _ranks_of(node: int, topology: Topology) -> range:
    first = node * topology.gpus_per_node
    return range(first, first + topology.gpus_per_node)


def _added(
    outputs: Sequence[Tensor], received: Sequence[Received], tokens: Sequence[int], ranks: range
) -> list[Tensor]:
    """For each source rank the sum [T, H] of what these ranks made, one after another."""
    wide = torch.promote_types(outputs[0].dtype, torch.float32)
    hidden = outputs[0].shape[1]
    sums = [torch.zeros(count, hidden, dtype=wide, device=outputs[0].device) for count in tokens]
    for rank in ranks:
        origin, place = received[rank].source.unbind(dim=1)
        for source, total in enumerate(sums):
            mine = origin == source
            # A token comes to a rank once, so no place is added to twice here.
            total[place[mine]] += outputs[rank][mine].to(wide)
    return [total.to(outputs[0].dtype) for total in sums]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """One after another in the wide type, rounded once."""
    wide = torch.promote_types(parts[0].dtype, torch.float32)
    total = torch.zeros_like(parts[0], dtype=wide)
    for part in parts:
        total += part.to(wide)
    return total.to(parts[0].dtype)
