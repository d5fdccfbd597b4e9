"""How far a token spreads, counted without the formula of `simulate.volumes`: every choice, or a sample of V3's gate."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations
from statistics import mean

from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.volumes import ExpertGrid

SAMPLE = 1000  # tokens


def grid_of(nodes: int, gpus: int, experts: int, k: int, limit: int) -> ExpertGrid:
    """The grid of a case.

    >>> grid_of(8, 8, 256, 8, 4) == ExpertGrid()
    True
    """
    return ExpertGrid(nodes, gpus, experts, k, limit)


def _all_choices(grid: ExpertGrid) -> Iterator[tuple[int, ...]]:
    """Every choice of experts on every choice of nodes, each as likely as the others."""
    held = grid.experts // grid.nodes
    for chosen in combinations(range(grid.nodes), grid.node_limit):
        pool = [node * held + place for node in chosen for place in range(held)]
        yield from combinations(pool, grid.experts_per_token)


def _choices_of_the_gate(grid: ExpertGrid) -> Iterator[tuple[int, ...]]:
    """What V3's gate chooses where all scores are alike: nodes by their best K/M scores, then experts (seed 0)."""
    draw, held = random.Random(0), grid.experts // grid.nodes
    each = max(1, grid.experts_per_token // grid.node_limit)
    for _ in range(SAMPLE):
        scores = [draw.random() for _ in range(grid.experts)]
        nodes = [sorted(scores[at : at + held])[-each:] for at in range(0, grid.experts, held)]
        best = sorted(range(grid.nodes), key=lambda node: -sum(nodes[node]))[: grid.node_limit]
        pool = [node * held + place for node in best for place in range(held)]
        pool.sort(key=lambda expert: -scores[expert])
        yield tuple(pool[: grid.experts_per_token])


@cache
def reached(gate: str, what: str, **shape: int) -> Number:
    """Nodes or GPUs that a token reaches, in the mean: of all choices if they are drawn, of a sample with V3's gate.

    >>> reached("drawn", "nodes", nodes=2, gpus=1, experts=4, k=2, limit=2)
    Fraction(5, 3)
    """
    grid = grid_of(**shape)
    choices = _all_choices(grid) if gate == "drawn" else _choices_of_the_gate(grid)
    held = grid.experts // (grid.nodes if what == "nodes" else grid.gpus)
    counts = [len({expert // held for expert in chosen}) for chosen in choices]
    return Fraction(sum(counts), len(counts)) if gate == "drawn" else mean(counts)
