"""What a routing means for the links: which rank and which node each token is sent to, and how many go where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate import volumes
from dualpipe_ref.simulate.volumes import ExpertGrid


@dataclass(frozen=True, eq=False)
class Layout:
    """The layout of one rank's T tokens; made by `layout_of`.

    `to_rank` [T, R] and `to_node` [T, N] say who needs a token, each once however many experts it has there.

    >>> layout = layout_of(torch.tensor([[0, 3], [2, 3]]), Topology(2, 1), experts=4)
    >>> layout.tokens_per_rank.tolist(), layout.tokens_per_expert.tolist()
    ([1, 2], [1, 0, 1, 2])
    >>> layout.places_in_rank.tolist()
    [[0, 0], [-1, 1]]
    """

    topology: Topology
    experts: int
    routing: Tensor
    to_rank: Tensor

    @cached_property
    def to_node(self) -> Tensor:
        """[T, N] bool: whether the token crosses to the node, once for all of its GPUs there."""
        return self.to_rank.view(-1, self.topology.nodes, self.topology.gpus_per_node).any(dim=2)

    @cached_property
    def tokens_per_rank(self) -> Tensor:
        """[R] int64."""
        return self.to_rank.sum(dim=0)

    @cached_property
    def tokens_per_node(self) -> Tensor:
        """[N] int64."""
        return self.to_node.sum(dim=0)

    @cached_property
    def tokens_per_expert(self) -> Tensor:
        """[E] int64; a place with -1 goes nowhere."""
        chosen = self.routing[self.routing >= 0]
        return torch.bincount(chosen, minlength=self.experts)

    @cached_property
    def places_in_rank(self) -> Tensor:
        """[T, R] int64: how many earlier tokens go to that rank, or -1 where this one does not."""
        return (self.to_rank.cumsum(dim=0) - 1).masked_fill(~self.to_rank, -1)

    @cached_property
    def places_in_node(self) -> Tensor:
        """[T, N] int64: the same for nodes."""
        return (self.to_node.cumsum(dim=0) - 1).masked_fill(~self.to_node, -1)

    def bytes_over(self, rank: int, bytes_per_token: int) -> tuple[int, int]:
        """(RDMA, NVLink) bytes that this layout's tokens cost when `rank` sends them.

        A token crosses RDMA once for each other node, to the GPU of the same place there; from that GPU, or from the
        sender in its own node, it crosses NVLink once for each other GPU that needs it.
        """
        here, local = self.topology.node_of(rank), self.topology.local_of(rank)
        other_nodes = int(self.tokens_per_node.sum() - self.tokens_per_node[here])
        by_place = self.tokens_per_rank.view(self.topology.nodes, self.topology.gpus_per_node)
        other_gpus = int(by_place.sum() - by_place[:, local].sum())
        return other_nodes * bytes_per_token, other_gpus * bytes_per_token


def layout_of(routing: Tensor, topology: Topology, experts: int) -> Layout:
    """The layout of `routing` [T, K] int64: the experts of each token, -1 where a place is empty.

    Raises `InputError` for another type or shape, for an expert that there is not, and for a token that has one twice.

    >>> layout_of(torch.tensor([[0, 4]]), Topology(2, 1), experts=4)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: experts are numbered from 0 to 3, -1 for none; got 4 for token 0; nearest legal: 3
    """
    per_rank = topology.experts_per_rank(experts)
    _check(routing, experts)
    to_rank = torch.zeros(len(routing), topology.ranks + 1, dtype=torch.bool, device=routing.device)
    homes = torch.where(routing >= 0, routing // per_rank, topology.ranks)
    to_rank.scatter_(1, homes, value=True)
    return Layout(topology, experts, routing, to_rank[:, : topology.ranks])


def _check(routing: Tensor, experts: int) -> None:
    if routing.dim() != 2 or routing.dtype != torch.int64:
        raise InputError(
            "a routing is [tokens, experts of a token] in int64",
            f"{routing.dtype} {tuple(routing.shape)}",
        )
    outside = ((routing < -1) | (routing >= experts)).nonzero()
    if len(outside):
        token, place = outside[0].tolist()
        expert = int(routing[token, place])
        raise InputError(
            f"experts are numbered from 0 to {experts - 1}, -1 for none",
            f"{expert} for token {token}",
            str(-1 if expert < 0 else experts - 1),
        )
    ordered = routing.sort(dim=1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).nonzero()
    if len(twice):
        token, place = twice[0].tolist()
        raise InputError(
            "a token goes to each expert once",
            f"expert {int(ordered[token, place])} twice for token {token}",
        )


def expected_spread(
    topology: Topology, experts: int, experts_per_token: int, node_limit: int
) -> tuple[float, float]:
    """(nodes, GPUs) that a token reaches on average if its nodes, then its experts in them, are drawn evenly; see `simulate.volumes`.

    >>> tuple(round(number, 2) for number in expected_spread(Topology(8, 8), 256, 8, 4))
    (3.63, 7.36)
    """
    grid = ExpertGrid(
        topology.nodes, topology.gpus_per_node, experts, experts_per_token, node_limit
    )
    nodes, gpus = volumes.expected_spread(grid)
    return float(nodes), float(gpus)
