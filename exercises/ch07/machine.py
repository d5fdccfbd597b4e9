"""Generated routers and routings, the smallest first, and what is right for them, followed token by token."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from dualpipe_ref.simulate.volumes import hops

GRIDS = (
    *((1, 1, 1), (1, 1, 3), (1, 2, 2), (2, 1, 2), (1, 2, 4), (2, 1, 4), (2, 2, 4), (2, 2, 8)),
    *((1, 4, 8), (3, 1, 6), (3, 2, 12), (2, 4, 16), (4, 2, 16), (3, 3, 18), (8, 2, 32)),
)


class Gate(NamedTuple):
    """One token at a router: exact scores with many equals among them."""

    scores: list[Fraction]
    bias: list[Fraction]
    k: int
    nodes: int
    limit: int

    def __str__(self) -> str:
        return f"N = {self.nodes}, E = {len(self.scores)}, K = {self.k}, limit = {self.limit}"

    def in_full(self) -> str:
        """Scores and bias in words."""
        scores, bias = (", ".join(map(str, one)) for one in (self.scores, self.bias))
        return f"scores {scores}; bias {bias}" if any(self.bias) else f"scores {scores}, no bias"

    def experts(self) -> list[int]:
        """The right choice, by looking for the best one again and again."""
        choice = [score + more for score, more in zip(self.scores, self.bias, strict=True)]
        held = len(choice) // self.nodes
        blocks = [range(node * held, (node + 1) * held) for node in range(self.nodes)]
        several = max(1, self.k // self.limit)
        worth = [sum(choice[one] for one in _best(choice, block, several)) for block in blocks]
        inside = _best(worth, range(self.nodes), self.limit)
        allowed = [one for node in sorted(inside) for one in blocks[node]]
        return _best(choice, allowed, self.k)

    def weights(self) -> list[Fraction]:
        chosen = [self.scores[expert] for expert in self.experts()]
        return [score / sum(chosen) for score in chosen]


def _best(values: list[Fraction], among: list[int] | range, count: int) -> list[int]:
    """The places of the largest values, the first of equals first."""
    left, found = list(among), []
    while left and len(found) < count:
        first = left[0]
        for one in left:
            if values[one] > values[first]:
                first = one
        left.remove(first)
        found.append(first)
    return found


def gates() -> Iterator[Gate]:
    """Few experts first; without a bias, then with one that may make a choice negative."""
    draw = random.Random(7)
    shapes = [(1, 1), (1, 3), (2, 2), (2, 4), (2, 8), (3, 6), (3, 12), (4, 16), (8, 32)]
    for (nodes, experts), biased, _ in product(shapes, (False, True), range(12)):
        limit = draw.randint(1, nodes)
        k = draw.randint(1, min(8, limit * experts // nodes))
        most = draw.choice((2, 8, 64))  # few values: many equals
        scores = [Fraction(draw.randint(1, most), most + 1) for _ in range(experts)]
        bias = [Fraction(draw.randint(-most, most), most + 1) * biased for _ in range(experts)]
        yield Gate(scores, bias, k, nodes, limit)


class Case(NamedTuple):
    """One sender's routing on N nodes of L GPUs with E experts in blocks."""

    nodes: int
    gpus: int
    experts: int
    rank: int
    routing: list[list[int]]

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.nodes, self.gpus, self.experts

    def __str__(self) -> str:
        size = f"N = {self.nodes}, L = {self.gpus}, E = {self.experts}"
        told = f"{size}, {len(self.routing)} tokens"
        return f"{told}: {self.routing}" if len(self.routing) < 4 else told

    def wanted(self) -> list[list[int]]:
        """For each token the ranks that hold one of its experts, each once."""
        blocks = self.experts // (self.nodes * self.gpus)
        homes = [expert // blocks for expert in range(self.experts)]
        return [sorted({homes[one] for one in chosen if one != -1}) for chosen in self.routing]

    def counts(self) -> tuple[list[int], list[int], list[int]]:
        of_rank = [sum(rank in one for one in self.wanted()) for rank in range(self.ranks)]
        of_node = [
            sum(any(rank // self.gpus == node for rank in one) for one in self.wanted())
            for node in range(self.nodes)
        ]
        flat = [expert for chosen in self.routing for expert in chosen]
        return [flat.count(expert) for expert in range(self.experts)], of_rank, of_node

    @property
    def ranks(self) -> int:
        return self.nodes * self.gpus

    def places(self) -> list[list[int]]:
        wanted = self.wanted()
        return [
            [
                sum(rank in before for before in wanted[:token]) if rank in wanted[token] else -1
                for rank in range(self.ranks)
            ]
            for token in range(len(wanted))
        ]

    def bytes_over(self, message: int) -> tuple[int, int]:
        """By the package's own hops, one token at a time."""
        crossed = [hop for one in self.wanted() for hop in hops(self.rank, one, self.gpus)]
        rdma = sum(hop.rdma for hop in crossed)
        return rdma * message, (len(crossed) - rdma) * message


def cases() -> Iterator[Case]:
    """No tokens, one, several, a crowd that wants one expert, empty places."""
    draw = random.Random(8)
    for nodes, gpus, experts in GRIDS:
        for tokens, kind in product((0, 1, 3, 9), ("drawn", "crowd", "empty places")):
            k = draw.randint(1, min(experts, 4))
            routing = [draw.sample(range(experts), k) for _ in range(tokens)]
            if kind == "crowd":
                routing = [[experts - 1] for _ in range(tokens)]
            elif kind == "empty places":
                routing = [[draw.choice((one, -1)) for one in chosen] for chosen in routing]
            yield Case(nodes, gpus, experts, draw.randrange(nodes * gpus), routing)


def exchanged() -> Iterator[list[list[int]]]:
    """Tokens from each rank for each: square tables, the smallest first."""
    draw = random.Random(9)
    for ranks in (1, 2, 2, 3, 4, 8):
        yield [[draw.randint(0, 5) for _ in range(ranks)] for _ in range(ranks)]
    yield [[0, 0], [0, 0]]
