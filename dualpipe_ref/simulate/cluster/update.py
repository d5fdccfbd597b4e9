"""After the last micro-batch: gradients are summed over all copies, the optimizer runs, parameters are gathered (ZeRO-1)."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.memory import held_of, sharing_of


class Update(NamedTuple):
    """Nanoseconds of one rank."""

    gradients: int
    optimizer: int
    parameters: int

    @property
    def length(self) -> int:
        return self.gradients + self.optimizer + self.parameters


def updates(layout: Layout) -> tuple[Update, ...]:
    """Of each rank of a pipeline."""
    return tuple(_update(layout, rank) for rank in range(layout.plan.pipeline))


def _update(layout: Layout, rank: int) -> Update:
    """Each GPU sends (g - 1)/g of what it has twice: gradients to those that sum them, parameters to all g copies."""
    plan = layout.plan
    sharing = sharing_of(plan)
    dense_copies = plan.data * sharing.directions
    expert_copies = sharing.data_ranks * sharing.directions
    crossing, owned = 0.0, 0.0
    for stage in {stage for _, stage in plan.placement.homes[rank]}:
        for held, group in zip(held_of(layout, stage), (dense_copies, expert_copies), strict=True):
            crossing += held * (group - 1) / group
            owned += held / group
    stored = plan.stored
    rate = plan.device.rdma * plan.kernels["rdma_share"]
    exposed = plan.kernels["exposed_updates"]
    # Gradient read; master copy and both moments read and written; parameter written.
    bytes_each = stored.gradients + 2 * stored.states + stored.parameters
    memory = plan.device.hbm * plan.kernels["memory_share"]
    return Update(
        round(exposed * crossing * stored.gradients / rate),
        round(owned * bytes_each / memory),
        round(exposed * crossing * stored.parameters / rate),
    )
