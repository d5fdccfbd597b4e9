"""Dispatch through queues, in the middle: from RDMA to NVLink. The roles are those of `protocol/dispatch_roles.py`."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import copy, lane
from dualpipe_ref.comm.kernels.packing import heap_of, own
from dualpipe_ref.comm.kernels.queue_plan import (
    ENDLESS,
    MASK,
    give_back,
    next_lane,
    nvl_slot,
    nvl_word,
    range_of,
    rdma_slot,
    rdma_word,
)
from dualpipe_ref.comm.kernels.queue_roles import FORWARDER, FORWARDER_COORDINATOR, FORWARDER_ROOM
from dualpipe_ref.comm.kernels.queue_tables import NVL_HEADS, RAIL_ROWS
from dualpipe_ref.comm.kernels.waiting import (
    COUNT,
    HEAD,
    TAIL,
    Who,
    all_lanes,
    any_grew,
    any_lane,
    lowest_in_block,
    wait,
)


@device
def forwarder(plan, here, words, target):
    """A warp: read every message of every source node and copy those for GPU `target` of the node into its NVLink ring.

    Lane n stands for node n. All forwarders of the block read each message; how far each has come is in the block's words,
    one for each node and GPU.
    """
    node, turn, sent = lane(), here.channel + here.node, 0
    row, total, passed, forwarded = 0, 0, 0, 0
    come = words + 8 * (node * plan.gpus + target)
    if node < plan.nodes:
        starts = own(plan, here.rank, RAIL_ROWS)
        row, end = range_of(starts, node * plan.channels + here.channel)
        total = end - row
        if total == 0:
            ptx.st_release_cta(come, ENDLESS)
    while cuda.any_sync(FULL, passed < total):
        if not has_room(plan, here, target, sent):
            return
        tail = messages(plan, here, node, passed, total)
        if cuda.any_sync(FULL, tail < 0):
            return
        chosen = next_lane(cuda.ballot_sync(FULL, tail > passed), turn, plan.nodes)
        turn = chosen + 1
        first, last = cuda.shfl_sync(FULL, passed, chosen), cuda.shfl_sync(FULL, tail, chosen)
        place, at = cuda.shfl_sync(FULL, forwarded, chosen), cuda.shfl_sync(FULL, row, chosen)
        read, moved = forward(plan, here, target, chosen, first, last, sent, place, at)
        if node == chosen:
            passed, forwarded = passed + read, forwarded + moved
            ptx.st_release_cta(come, ENDLESS if passed == total else passed)
        sent += moved
        if moved > 0 and lane() == 0:
            peer = heap_of(plan, here.node * plan.gpus + target)
            tail_there = nvl_word(plan, plan.rings.nvl_tail, here.channel, here.local, 0)
            ptx.st_release_sys(peer + tail_there, sent)


@device
def has_room(plan, here, target, sent):
    """Whether the NVLink ring came to have room for a whole chunk. The head is in this heap, the ring in the target's."""
    went_well = True
    if lane() == 0:
        head = here.heap + nvl_word(plan, plan.rings.nvl_head, here.channel, target, 0)
        who = Who(FORWARDER_ROOM, here.channel, here.rank, here.node * plan.gpus + target, HEAD)
        went_well = wait(plan, head, sent + plan.nvl_chunk - plan.nvl_ring, sent, who)
    return all_lanes(went_well)


@device
def messages(plan, here, node, passed, total):
    """How many messages of each node are there, as soon as one has a new one: the tails in this heap. A warp.

    0 for a node of which nothing more comes; negative when the wait ended without any.
    """
    address = 0
    if passed < total:
        address = here.heap + rdma_word(plan, plan.rings.rdma_tail, here.channel, node)
    who = Who(FORWARDER, here.channel, here.rank, node * plan.gpus + here.local, TAIL)
    return any_lane(plan, address, passed + 1, passed, who)


@device
def forward(plan, here, target, node, first, last, sent, place, row):
    """Read messages `first` to `last` of a node, but forward no more than a chunk: how many were read, how many moved.

    `sent` messages went to the target before, `place` of them from this node; `row` is the first of the node's and
    channel's rows in the record of places, -1 for a message that is not for the target. A warp.
    """
    read, moved = 0, 0
    there = heap_of(plan, here.node * plan.gpus + target)
    heads = own(plan, here.rank, NVL_HEADS)
    for counter in range(first, last):
        if moved == plan.nvl_chunk:
            break
        slot = here.heap + rdma_slot(plan, here.channel, node, counter)
        is_mine = (ptx.ld_i32(slot + plan.message.meta_at + 4 * MASK) >> target) & 1
        if plan.is_new and lane() == 0:
            head = place + moved if is_mine else -1
            ptx.st_i64(heads + 8 * ((row + counter) * plan.gpus + target), head)
        if is_mine:
            there_slot = nvl_slot(plan, here.channel, here.local, 0, sent + moved)
            copy(there + there_slot, slot, plan.message.size)
            moved += 1
        read += 1
    cuda.syncwarp()  # all lanes have read and written before one tells
    return read, moved


@device
def forwarder_coordinator(plan, here, words):
    """A warp: give a node its slots back when every forwarder has passed them, a chunk or more at a time.

    Lane n stands for node n. Behind the forwarders' words is one for each node: what it was told.
    """
    node, told = lane(), words + 8 * plan.nodes * plan.gpus
    reported = 0 if node < plan.nodes else ENDLESS
    who = Who(FORWARDER_COORDINATOR, here.channel, here.rank, here.rank, COUNT)
    while cuda.any_sync(FULL, reported < ENDLESS):
        if not any_grew(plan, words, plan.gpus, told, plan.nodes, plan.rdma_chunk, who):
            return
        if reported < ENDLESS:
            free = lowest_in_block(words + 8 * node * plan.gpus, plan.gpus)
            if free >= reported + plan.rdma_chunk:
                if free < ENDLESS:
                    give_back(plan, here, node, free - reported)
                reported = free
                ptx.st_relaxed_cta(told + 8 * node, reported)
        cuda.syncwarp()
