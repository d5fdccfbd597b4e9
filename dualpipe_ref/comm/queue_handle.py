"""What a dispatch through queues leaves for its combine, and the tables of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dualpipe_ref.comm.counts import Counts
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.queue_tables import Row
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.reference import Received


@dataclass(frozen=True, eq=False)
class QueueHandle:
    """What one rank keeps of a dispatch: who got what, and at which ring counter each copy travelled.

    `masks` [T, N], `sent` [N, C], `rail_rows` [N * C + 1], `rank_rows` [R * C + 1], `rdma_heads` [T, N] and `nvl_heads`
    [rail rows, L], all int64: see `kernels/queue_tables.py`. `received` is M.
    """

    layout: Layout
    received: int
    masks: Tensor
    sent: Tensor
    rail_rows: Tensor
    rank_rows: Tensor
    rdma_heads: Tensor
    nvl_heads: Tensor


def handle_of(layout: Layout, counts: Counts) -> QueueHandle:
    """The handle of one rank, with room for the heads that dispatch records."""
    topology, tokens = layout.topology, len(layout.routing)
    by_node = layout.to_rank.view(tokens, topology.nodes, topology.gpus_per_node).long()
    bits = 1 << torch.arange(topology.gpus_per_node, device=by_node.device)
    masks = (by_node * bits).sum(dim=2)
    return QueueHandle(
        layout,
        counts.received,
        masks,
        counts.to_node[:, :, -1].contiguous(),
        _starts_and_end(counts.on_rail[:, :, -1]),
        _starts_and_end(counts.from_rank),
        torch.empty_like(masks),
        masks.new_empty(counts.forwarded, topology.gpus_per_node),
    )


def _starts_and_end(counts: Tensor) -> Tensor:
    """Where each of the stretches begins that lie one after another, and where the last one ends."""
    return torch.cat((counts.new_zeros(1), counts.flatten().cumsum(dim=0)))


def dispatch_row(outgoing: Outgoing, handle: QueueHandle, received: Received) -> Row:
    """A rank's row of dispatch's table."""
    return Row(
        len(outgoing.tokens),
        outgoing.tokens,
        outgoing.scales,
        outgoing.routing.experts,
        outgoing.routing.weights,
        received.tokens,
        received.scales,
        received.experts,
        received.weights,
        received.source,
        rail_rows=handle.rail_rows,
        rank_rows=handle.rank_rows,
        masks=handle.masks,
        sent=handle.sent,
        rdma_heads=handle.rdma_heads,
        nvl_heads=handle.nvl_heads,
    )


def combine_rows(
    outputs: Sequence[Tensor], weights: Sequence[Tensor | None], handles: Sequence[QueueHandle]
) -> list[Row]:
    """The rows of combine's table, with room for the sums."""
    return [_combine_row(*one) for one in zip(outputs, weights, handles, strict=True)]


def _combine_row(outputs: Tensor, weights: Tensor | None, handle: QueueHandle) -> Row:
    tokens = len(handle.masks)
    return Row(
        tokens,
        outputs,
        weights=weights,
        out_tokens=outputs.new_empty(tokens, outputs.shape[1]),
        out_weights=None if weights is None else weights.new_empty(tokens, weights.shape[1]),
        rail_rows=handle.rail_rows,
        rank_rows=handle.rank_rows,
        rdma_heads=handle.rdma_heads,
        nvl_heads=handle.nvl_heads,
        freeing_rdma_heads=torch.empty_like(handle.rdma_heads),
        freeing_nvl_heads=torch.empty_like(handle.nvl_heads),
    )
