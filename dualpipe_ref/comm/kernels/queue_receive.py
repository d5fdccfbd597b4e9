"""Dispatch through queues, at its end: the receivers. The role is that of `protocol/dispatch_roles.py`."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.packing import Outputs, heap_of, own, unpack
from dualpipe_ref.comm.kernels.queue_plan import (
    RANK,
    nvl_slot,
    nvl_word,
    range_of,
)
from dualpipe_ref.comm.kernels.queue_roles import RECEIVER
from dualpipe_ref.comm.kernels.queue_tables import (
    OUT_EXPERTS,
    OUT_SCALES,
    OUT_SOURCE,
    OUT_TOKENS,
    OUT_WEIGHTS,
    RANK_ROWS,
)
from dualpipe_ref.comm.kernels.waiting import TAIL, Who, all_lanes, wait


@device
def receiver(plan, here, source):
    """A warp: take what GPU `source` of the node forwards, and put each token into its row.

    Lane n holds the next row of what comes from node n on that GPU's rail.
    """
    node, row, count = lane(), 0, 0
    if node < plan.nodes:
        starts = own(plan, here.rank, RANK_ROWS)
        place = (node * plan.gpus + source) * plan.channels + here.channel
        row, end = range_of(starts, place)
        count = end - row
    total = sum_of_lanes(count, plan.nodes)
    forwarder = here.node * plan.gpus + source
    credit = heap_of(plan, forwarder) + nvl_word(
        plan, plan.rings.nvl_head, here.channel, here.local, 0
    )
    outputs = Outputs(
        own(plan, here.rank, OUT_TOKENS),
        own(plan, here.rank, OUT_SCALES),
        own(plan, here.rank, OUT_EXPERTS),
        own(plan, here.rank, OUT_WEIGHTS),
        own(plan, here.rank, OUT_SOURCE),
    )
    taken = 0
    while taken < total:
        tail = forwarded(plan, here, source, taken)
        if tail < 0:
            return
        for counter in range(taken, tail):
            slot = here.heap + nvl_slot(plan, here.channel, source, 0, counter)
            origin = ptx.ld_i32(slot + plan.message.meta_at + 4 * RANK)
            place = cuda.shfl_sync(FULL, row, origin // plan.gpus)
            unpack(plan, slot, outputs, place, origin, here.rank * plan.experts_here)
            if node == origin // plan.gpus:
                row += 1
        taken = tail
        cuda.syncwarp()  # all lanes have read before one gives the slots back
        if lane() == 0:
            ptx.st_release_sys(credit, taken)


@device
def forwarded(plan, here, source, taken):
    """How many messages GPU `source` has forwarded, as soon as there are more than `taken`; -1 if none came. A warp."""
    tail, went_well = 0, True
    if lane() == 0:
        address = here.heap + nvl_word(plan, plan.rings.nvl_tail, here.channel, source, 0)
        who = Who(RECEIVER, here.channel, here.rank, here.node * plan.gpus + source, TAIL)
        went_well = wait(plan, address, taken + 1, taken, who)
        tail = ptx.ld_acquire_sys(address)
    if not all_lanes(went_well):
        return -1
    return cuda.shfl_sync(FULL, tail, 0)


@device
def sum_of_lanes(value, lanes):
    """The sum of what the first lanes hold. A warp."""
    total = 0
    for at in range(lanes):
        total += cuda.shfl_sync(FULL, value, at)
    return total
