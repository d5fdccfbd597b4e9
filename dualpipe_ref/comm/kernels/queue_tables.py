"""What stands in a rank's table for the kernels of the queues: addresses of tensors, or numbers."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """One rank's row; what a kernel does not use is None. Counters and counts are int64.

    Both phases: `tokens_here` (T); the `tokens`, `scales`, `experts` and `weights` that a rank sends, and the `out_...` that it
    gets, with their `out_source`; see `packing`. Combine sends [M, H] and [M, K] and gets [T, H] and [T, K].

    Where stretches begin, with the end of all behind the last: `rail_rows` [N * C + 1] of what comes on the rail from a node
    through a channel, `rank_rows` [R * C + 1] of what is received from a rank.

    Dispatch: `masks` [T, N], bit l for GPU l of the node; `sent` [N, C], how many of a channel's tokens go to each node. For
    combine it writes at which counter each copy travelled, -1 where there is none: `rdma_heads` [T, N] and `nvl_heads` [rail
    rows, L]. The pre-pass rewrites both into `freeing_rdma_heads` and `freeing_nvl_heads`.
    """

    tokens_here: int
    tokens: Any = None
    scales: Any = None
    experts: Any = None
    weights: Any = None
    out_tokens: Any = None
    out_scales: Any = None
    out_experts: Any = None
    out_weights: Any = None
    out_source: Any = None
    rail_rows: Any = None
    rank_rows: Any = None
    masks: Any = None
    sent: Any = None
    rdma_heads: Any = None
    nvl_heads: Any = None
    freeing_rdma_heads: Any = None
    freeing_nvl_heads: Any = None


# Their places, for the kernels, in the same order.
(
    TOKENS_HERE,
    TOKENS,
    SCALES,
    EXPERTS,
    WEIGHTS,
    OUT_TOKENS,
    OUT_SCALES,
    OUT_EXPERTS,
    OUT_WEIGHTS,
    OUT_SOURCE,
    RAIL_ROWS,
    RANK_ROWS,
    MASKS,
    SENT,
    RDMA_HEADS,
    NVL_HEADS,
    FREEING_RDMA_HEADS,
    FREEING_NVL_HEADS,
) = range(len(Row._fields))
