"""Generated routings, small enough to be checked token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology


class Case(NamedTuple):
    """All ranks' tokens and routings."""

    topology: Topology
    experts: int
    inputs: list[Tensor]
    routings: list[Routing]


@st.composite
def cases(
    draw: st.DrawFn,
    dtype: torch.dtype = torch.float64,
    hidden_sizes: Sequence[int] = (1, 2, 5),
    most_gpus: int = 9,
) -> Case:
    """1 to 3 nodes of 1 to 3 GPUs; ranks without tokens, experts without tokens, empty places."""
    nodes = draw(st.integers(1, 3))
    topology = Topology(nodes, draw(st.integers(1, max(1, min(3, most_gpus // nodes)))))
    experts = topology.ranks * draw(st.integers(1, 3))
    k, hidden = draw(st.integers(1, min(experts, 4))), draw(st.sampled_from(hidden_sizes))
    inputs, routings = [], []
    for _ in range(topology.ranks):
        count = draw(st.integers(0, 5))
        chosen = [draw(st.permutations(range(experts)))[:k] for _ in range(count)]
        table = torch.tensor(chosen, dtype=torch.int64).reshape(count, k)
        empty = draw(st.lists(st.booleans(), min_size=count * k, max_size=count * k))
        table[torch.tensor(empty, dtype=torch.bool).reshape(count, k)] = -1
        weights = (
            torch.tensor(
                draw(st.lists(st.integers(1, 64), min_size=count * k, max_size=count * k)),
                dtype=dtype,
            ).reshape(count, k)
            / 64
        )
        numbers = draw(
            st.lists(st.integers(-99, 99), min_size=count * hidden, max_size=count * hidden)
        )
        inputs.append(torch.tensor(numbers, dtype=dtype).reshape(count, hidden))
        routings.append(Routing(table, weights))
    return Case(topology, experts, inputs, routings)
