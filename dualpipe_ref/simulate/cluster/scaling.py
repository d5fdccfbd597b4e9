"""Does near-zero all-to-all overhead hold as a model grows? The V3 report says so "as long as we maintain a constant
computation-to-communication ratio" (arXiv:2412.19437, section 3.2.2). Here is the experiment, and where it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.study import PairProfile, pair_profile
from dualpipe_ref.simulate.shapes import ModelShape

NODES = (2, 4, 8, 16, 32, 64)
HIDDEN = (1792, 3584, 7168, 14336)
EXPERTS_OF_A_NODE = 32  # as DeepSeek-V3
STEP = 128  # a hidden size of experts is a multiple of it


@dataclass(frozen=True)
class Growth:
    """One size of the experiment: so many nodes, this hidden size, so many experts for a token."""

    nodes: int
    hidden: int
    experts_per_token: int = 8
    node_limit: int | None = 4
    expert_hidden: int = 2048

    def plan(self, base: Plan) -> Plan:
        """The base plan at this size."""
        width = base.device.gpus_per_node
        ranks = self.nodes * width
        factor = self.hidden / base.shape.hidden
        shape: ModelShape = replace(
            base.shape,
            hidden=self.hidden,
            heads=max(1, round(base.shape.heads * factor)),
            query_latent=round((base.shape.query_latent or 0) * factor) or None,
            key_value_latent=round(base.shape.key_value_latent * factor),
            experts=self.nodes * EXPERTS_OF_A_NODE,
            experts_per_token=self.experts_per_token,
            expert_hidden=self.expert_hidden,
        )
        return replace(
            base,
            shape=shape,
            expert_ranks=ranks,
            gpus=base.pipeline * ranks,
            node_limit=self.node_limit,
        )


class Point(NamedTuple):
    """A size, and what a pair of four layers does there."""

    growth: Growth
    ratio: float
    exposed: float
    profile: PairProfile


def point(growth: Growth, base: Plan | None = None) -> Point:
    """One size.

    >>> found = point(Growth(nodes=8, hidden=7168))
    >>> round(found.ratio, 3), found.exposed
    (0.445, 0.0)
    """
    profile = pair_profile(growth.plan(base or Plan()))
    return Point(growth, profile.ratio, profile.exposed, profile)


def at_ratio(growth: Growth, ratio: float, base: Plan | None = None) -> Point:
    """The same size with the hidden size of experts at which communication is `ratio` of computation, or as near as can be."""
    low, high = 1, 512  # in steps
    while low < high:
        middle = (low + high) // 2
        if point(replace(growth, expert_hidden=middle * STEP), base).ratio <= ratio:
            high = middle
        else:
            low = middle + 1
    return point(replace(growth, expert_hidden=low * STEP), base)


def at_constant_ratio(ratio: float, base: Plan | None = None) -> Iterator[Point]:
    """Nodes, and with them experts, and hidden sizes, at one ratio."""
    for hidden in HIDDEN:
        for nodes in NODES:
            yield at_ratio(Growth(nodes, hidden), ratio, base)


def without_limit(base: Plan | None = None) -> Iterator[Point]:
    """More nodes, and a token that may go to all of them: communication grows until every expert is on a node of its own."""
    for nodes in NODES:
        yield point(Growth(nodes, 7168, node_limit=None), base)


def finer(counts: Sequence[int] = (4, 8, 16, 32, 64), base: Plan | None = None) -> Iterator[Point]:
    """More and smaller experts for a token, the same work: RDMA stays under the limit of 4 nodes, NVLink does not."""
    for count in counts:
        yield point(Growth(8, 7168, count, 4, 8 * 2048 // count), base)


def slower_network(
    parts: Sequence[float] = (1, 0.75, 0.5, 0.4, 0.3, 0.25, 0.2), base: Plan | None = None
) -> Iterator[Point]:
    """The same model on a slower network: the ratio grows, and exposure begins where it nears 1."""
    base = base or Plan()
    for part in parts:
        device = replace(
            base.device, rdma=base.device.rdma * part, nvlink=base.device.nvlink * part
        )
        yield point(Growth(8, 7168), replace(base, device=device))
