"""The pre-pass of combine: heads of dispatch rewritten so that a place with nothing also says how far one may free.

The same as `encoded` in `protocol/heads.py`: without it a warp that needs nothing in some lane would hold its slots for ever.
"""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import block_of, lane, rank_of, warp
from dualpipe_ref.comm.kernels.packing import own
from dualpipe_ref.comm.kernels.queue_plan import ENDLESS, range_of, tokens_of
from dualpipe_ref.comm.kernels.queue_tables import (
    FREEING_NVL_HEADS,
    FREEING_RDMA_HEADS,
    NVL_HEADS,
    RAIL_ROWS,
    RDMA_HEADS,
    TOKENS_HERE,
)
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended


def pre_pass(plan):
    """The first block of a channel rewrites the heads of what came on the rail, its warps by node; the second those of its tokens."""
    write_began(plan)
    rank, channel = rank_of(plan), block_of(plan) // 2
    warps = cuda.blockDim.x // cuda.warpsize
    if block_of(plan) % 2 == 0:
        heads, made = own(plan, rank, NVL_HEADS), own(plan, rank, FREEING_NVL_HEADS)
        starts = own(plan, rank, RAIL_ROWS)
        for node in range(warp(), plan.nodes, warps):
            first, end = range_of(starts, node * plan.channels + channel)
            rewrite(heads, made, first, end, plan.gpus)
    elif warp() == 0:
        heads, made = own(plan, rank, RDMA_HEADS), own(plan, rank, FREEING_RDMA_HEADS)
        first, end = tokens_of(channel, plan.channels, own(plan, rank, TOKENS_HERE))
        rewrite(heads, made, first, end, plan.nodes)
    write_ended(plan)


@device
def rewrite(heads, made, first, end, lanes):
    """Walk rows `end` to `first` of [rows, lanes] backwards. A warp, a lane a column.

    A counter stays; -1 becomes -next-1, where `next` is the nearest later counter, or endless.
    """
    following, here = ENDLESS, lane()
    if here < lanes:
        for back in range(end - first):
            at = 8 * ((end - 1 - back) * lanes + here)
            head = ptx.ld_i64(heads + at)
            if head >= 0:
                following = head
                ptx.st_i64(made + at, head)
            else:
                ptx.st_i64(made + at, freeing(following))


@device
def freeing(following):
    """What stands where a warp needs nothing and all before `following` may go."""
    return -following - 1


@device
def freed_before(head):
    """Up to which counter a rewritten head lets slots go."""
    return head if head >= 0 else -head - 1
