"""Combine through queues: the kernel, and the roles at both ends. The roles are those of `protocol/combine_roles.py`.

Two blocks a channel. The first one's warps are the forwarders, a large warp for each node, and their coordinator; the second
one's are a sender for each GPU of the node, the receivers, and their coordinator.
"""

from __future__ import annotations

import numpy as np

from dualpipe_ref.comm.kernels.adding import add_rows, add_weights
from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import block_of, lane, warp
from dualpipe_ref.comm.kernels.packing import copy_input, copy_words, heap_of, own
from dualpipe_ref.comm.kernels.queue_heads import freed_before
from dualpipe_ref.comm.kernels.queue_plan import (
    BLOCK_WORDS,
    ENDLESS,
    clear_block,
    give_back,
    here_of,
    next_lane,
    nvl_slot,
    nvl_word,
    range_of,
    rdma_slot,
    rdma_word,
    tokens_of,
)
from dualpipe_ref.comm.kernels.queue_reduce import forwarder, forwarder_coordinator, post
from dualpipe_ref.comm.kernels.queue_roles import (
    NVL_SENDER,
    RECEIVER_COORDINATOR,
    REDUCING_RECEIVER,
)
from dualpipe_ref.comm.kernels.queue_tables import (
    FREEING_RDMA_HEADS,
    OUT_TOKENS,
    OUT_WEIGHTS,
    RANK_ROWS,
    TOKENS,
    TOKENS_HERE,
    WEIGHTS,
)
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


def combine(plan):
    """Every warp of a launch takes its role. Which peer it serves is rotated by the channel, to spread the load."""
    here = here_of(plan)
    words = ptx.shared_address(cuda.shared.array(BLOCK_WORDS, np.int64))
    clear_block(words, plan.block_words)
    me = warp()
    if block_of(plan) % 2 == 0:
        if me < plan.nodes * plan.large_warp:
            node = (me // plan.large_warp + here.channel) % plan.nodes
            forwarder(plan, here, words, node, me % plan.large_warp)
        elif me == plan.nodes * plan.large_warp:
            forwarder_coordinator(plan, here, words)
    elif me < plan.gpus:
        nvl_sender(plan, here, (me + here.channel) % plan.gpus)
    elif me < plan.gpus + plan.receivers:
        receiver(plan, here, words, me - plan.gpus)
    elif me == plan.gpus + plan.receivers:
        receiver_coordinator(plan, here, words)


@device
def nvl_sender(plan, here, target):
    """A warp: send the rows that came through the channel on GPU `target`'s rail back to it, each node's in a sub-ring, by chunks.

    Lane n stands for node n. With one ring for all nodes a row for a node that waits would be in the way of rows for others.
    """
    node, turn, sent, first, count = lane(), here.channel + here.node, 0, 0, 0
    if node < plan.nodes:
        starts = own(plan, here.rank, RANK_ROWS)
        place = (node * plan.gpus + target) * plan.channels + here.channel
        first, end = range_of(starts, place)
        count = end - first
    peer = heap_of(plan, here.node * plan.gpus + target)
    while cuda.any_sync(FULL, sent < count):
        address, least = 0, sent + plan.nvl_chunk - plan.nvl_ring
        if sent < count:
            address = here.heap + nvl_word(plan, plan.rings.nvl_head, here.channel, target, node)
        who = Who(NVL_SENDER, here.channel, here.rank, here.node * plan.gpus + target, HEAD)
        head = any_lane(plan, address, least, sent, who)
        if cuda.any_sync(FULL, head < 0):
            return
        votes = cuda.ballot_sync(FULL, sent < count and head >= least)
        chosen = next_lane(votes, turn, plan.nodes)
        turn = chosen + 1
        row, at = cuda.shfl_sync(FULL, first + sent, chosen), cuda.shfl_sync(FULL, sent, chosen)
        many = cuda.shfl_sync(FULL, min(plan.nvl_chunk, count - sent), chosen)
        for step in range(many):
            slot = peer + nvl_slot(plan, here.channel, here.local, chosen, at + step)
            send_row(plan, here, slot, row + step)
        cuda.syncwarp()  # all lanes have written before one tells
        if lane() == 0:
            tail = nvl_word(plan, plan.rings.nvl_tail, here.channel, here.local, chosen)
            ptx.st_release_sys(peer + tail, at + many)
        if node == chosen:
            sent += many


@device
def send_row(plan, here, slot, row):
    """Write a row and its weights into a slot. A warp."""
    tokens, weights = own(plan, here.rank, TOKENS), own(plan, here.rank, WEIGHTS)
    copy_input(slot, tokens + row * plan.message.row_bytes, plan.message.row_bytes)
    copy_words(
        slot + plan.message.weights_at,
        weights + 4 * row * plan.message.weights,
        plan.message.weights,
    )


@device
def receiver(plan, here, words, which):
    """A warp: add up every `receivers`-th token of the channel over the nodes that it went to. Lane n stands for node n.

    How far the warp has come in each node's ring is in the block's words, `receivers` for each node.
    """
    node, posted = lane(), 0
    mine = words + 8 * (node * plan.receivers + which)
    heads = own(plan, here.rank, FREEING_RDMA_HEADS)
    first, end = tokens_of(here.channel, plan.channels, own(plan, here.rank, TOKENS_HERE))
    for token in range(first + which, end, plan.receivers):
        head = -1
        if node < plan.nodes:
            head = ptx.ld_i64(heads + 8 * (token * plan.nodes + node))
        posted = post(mine, posted, freed_before(head))
        if not has_sums(plan, here, node, head):
            return
        add_up(plan, here, token, node, head)
        posted = post(mine, posted, max(posted, head + 1))
    if node < plan.nodes:
        ptx.st_release_cta(mine, ENDLESS)


@device
def has_sums(plan, here, node, head):
    """Whether the node's sum number `head`, if there is one, came to this heap. A lane a node."""
    went_well = True
    if head >= 0:
        tail = here.heap + rdma_word(plan, plan.rings.rdma_tail, here.channel, node)
        who = Who(REDUCING_RECEIVER, here.channel, here.rank, node * plan.gpus + here.local, TAIL)
        went_well = wait(plan, tail, head + 1, head, who)
    return all_lanes(went_well)


@device
def add_up(plan, here, token, node, head):
    """Write a token's sum over nodes, in their order, and that of its weights. A warp."""
    address, weights = 0, 0
    if head >= 0:
        address = here.heap + rdma_slot(plan, here.channel, node, head)
        weights = address + plan.message.weights_at
    sums, sums_of_weights = own(plan, here.rank, OUT_TOKENS), own(plan, here.rank, OUT_WEIGHTS)
    add_rows(sums + token * plan.message.row_bytes, address, plan.nodes, plan.message.row_bytes)
    add_weights(
        sums_of_weights + 4 * token * plan.message.weights,
        weights,
        plan.nodes,
        plan.message.weights,
    )
    cuda.syncwarp()  # all lanes have read before one lets the slots go


@device
def receiver_coordinator(plan, here, words):
    """A warp: give a node's forwarders their slots back when every receiver has passed them, a chunk or more at a time.

    Lane n stands for node n. Behind the receivers' words is one for each node: what it was told.
    """
    node, told = lane(), words + 8 * plan.nodes * plan.receivers
    reported = 0 if node < plan.nodes else ENDLESS
    who = Who(RECEIVER_COORDINATOR, here.channel, here.rank, here.rank, COUNT)
    while cuda.any_sync(FULL, reported < ENDLESS):
        if not any_grew(plan, words, plan.receivers, told, plan.nodes, plan.rdma_chunk, who):
            return
        if reported < ENDLESS:
            free = lowest_in_block(words + 8 * node * plan.receivers, plan.receivers)
            if free >= reported + plan.rdma_chunk:
                if free < ENDLESS:
                    give_back(plan, here, node, free - reported)
                reported = free
                ptx.st_relaxed_cta(told + 8 * node, reported)
        cuda.syncwarp()
