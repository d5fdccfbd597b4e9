"""The host's side of notify: who sends how many tokens through which channel, known to all who need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.checks import Facts, check_alike, facts_from, numbers_of
from dualpipe_ref.comm.kernels.host import launch
from dualpipe_ref.comm.kernels.notify import ROLES, NotifyArea, NotifyPlan, notify
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.transport.base import Transport

NOTIFY_WARPS = 4


class Counts(NamedTuple):
    """What one rank knows after notify, all int64.

    `to_node` [N, C, L + 1]: how many of its own tokens go through channel c to each GPU of a node, and how many to the node.
    `on_rail` [N, C, L + 1]: the same of the rank with its local number in each node, for its own node. `from_rank` [R, C]:
    how many it gets from every rank.
    """

    to_node: Tensor
    on_rail: Tensor
    from_rank: Tensor

    @property
    def received(self) -> int:
        """M, its number of received tokens."""
        return int(self.from_rank.sum())

    @property
    def forwarded(self) -> int:
        """How many messages come to it on its rail."""
        return int(self.on_rail[:, :, -1].sum())


def tokens_of_channel(tokens: int, channels: int) -> int:
    """p: channel c of a rank owns its tokens from c * p on, p of them or as many as there are left.

    >>> tokens_of_channel(10, 4)
    3
    """
    return -(-tokens // channels)


def counts_to_nodes(layout: Layout, channels: int) -> Tensor:
    """[N, C, L + 1], `Counts.to_node`.

    >>> from dualpipe_ref.comm.layout import layout_of
    >>> from dualpipe_ref.comm.topology import Topology
    >>> layout = layout_of(torch.tensor([[0, 1], [0, -1], [1, 2]]), Topology(2, 2), experts=4)
    >>> counts_to_nodes(layout, channels=2).tolist()
    [[[2, 1, 2], [0, 1, 1]], [[0, 0, 0], [1, 0, 1]]]
    """
    topology, tokens = layout.topology, len(layout.to_rank)
    share = max(1, tokens_of_channel(tokens, channels))
    by_node = layout.to_rank.view(tokens, topology.nodes, topology.gpus_per_node)
    wanted = torch.cat((by_node, layout.to_node.unsqueeze(2)), dim=2).long()
    counts = wanted.new_zeros(channels, *wanted.shape[1:])
    places = torch.arange(tokens, device=wanted.device) // share
    return counts.index_add_(0, places, wanted).transpose(0, 1).contiguous()


def starts(counts: Tensor) -> Tensor:
    """How many come before, along the channels [N, C, ...]: where a channel's messages begin among those of its source."""
    return counts.cumsum(dim=1) - counts


def exchange_counts(
    transport: Transport,
    heaps: Sequence[Tensor],
    area: NotifyArea,
    sent: Sequence[Tensor],
    facts: Sequence[Facts],
    seconds: float,
) -> list[Counts]:
    """Run notify for `sent`, each rank's `Counts.to_node`. The area's signals are zero before.

    `facts`, each rank's own, travel along: where ranks disagree, of this process or of others, all raise the same
    `InputError`.
    """
    for heap, counts, fact in zip(heaps, sent, facts, strict=True):
        records = _words(heap, area.out_at, area.topology.nodes, area.record_bytes)
        records[:, : area.agreed] = records.new_tensor(numbers_of(fact))
        records[:, area.agreed : area.rail_words] = counts.flatten(start_dim=1)
    launch(
        transport,
        notify,
        NotifyPlan,
        blocks=1,
        threads=NOTIFY_WARPS * transport.lanes,
        seconds=seconds,
        roles=ROLES,
        words=area.words(),
    )
    told = _words(heaps[0], area.rank_at, area.topology.ranks, 8 * area.rank_words)
    check_alike([facts_from(one) for one in told[:, : area.agreed].tolist()])
    return [_read(heap, area, counts) for heap, counts in zip(heaps, sent, strict=True)]


def _read(heap: Tensor, area: NotifyArea, sent: Tensor) -> Counts:
    on_rail = _words(heap, area.rail_at, area.topology.nodes, area.record_bytes)
    from_rank = _words(heap, area.rank_at, area.topology.ranks, 8 * area.rank_words)
    return Counts(
        sent,
        on_rail[:, area.agreed : area.rail_words].reshape(sent.shape).clone(),
        from_rank[:, area.agreed :].clone(),
    )


def _words(heap: Tensor, first: int, records: int, size: int) -> Tensor:
    """Records of the heap as int64 [records, words of one]; what is written there is in the heap."""
    return heap[first : first + records * size].view(torch.int64).view(records, size // 8)
