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
    DESK_WORDS,
    ENDLESS,
    clear_block,
    give_back,
    here_of,
    next_lane,
    note,
    noted,
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
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended


def combine(plan):
    """Every warp of a launch takes its role. Which peer it serves is rotated by the channel, to spread the load."""
    write_began(plan)
    here = here_of(plan)
    words = ptx.shared_address(cuda.shared.array(BLOCK_WORDS, np.int64))
    clear_block(words, plan.block_words)
    me = warp()
    desk = words + 8 * (BLOCK_WORDS - DESK_WORDS * (me + 1))
    note(desk, here)
    if block_of(plan) % 2 == 0:
        if me < plan.nodes * plan.large_warp:
            node = (me // plan.large_warp + here.channel) % plan.nodes
            forwarder(plan, desk, words, node, me % plan.large_warp)
        elif me == plan.nodes * plan.large_warp:
            forwarder_coordinator(plan, desk, words)
    elif me < plan.gpus:
        nvl_sender(plan, desk, (me + here.channel) % plan.gpus)
    elif me < plan.gpus + plan.receivers:
        receiver(plan, desk, words, me - plan.gpus)
    elif me == plan.gpus + plan.receivers:
        receiver_coordinator(plan, desk, words)
    write_ended(plan)


@device
def nvl_sender(plan, desk, target):
    """A warp: send the rows that came through the channel on GPU `target`'s rail back to it, each node's in a sub-ring, by chunks.

    Lane n stands for node n. With one ring for all nodes a row for a node that waits would be in the way of rows for others.
    """
    turn, sent = noted(desk).channel, 0
    first, count = rows_for(plan, desk, target)
    while cuda.any_sync(FULL, sent < count):
        here, address, least = noted(desk), 0, sent + plan.nvl_chunk - plan.nvl_ring
        if sent < count:
            address = here.heap + nvl_word(plan, plan.rings.nvl_head, here.channel, target, lane())
        who = Who(NVL_SENDER, here.channel, here.rank, here.node * plan.gpus + target, HEAD)
        head = any_lane(plan, address, least, sent, who)
        if cuda.any_sync(FULL, head < 0):
            return
        votes = cuda.ballot_sync(FULL, sent < count and head >= least)
        chosen = next_lane(votes, turn, plan.nodes)
        turn = chosen + 1
        row, at = cuda.shfl_sync(FULL, first + sent, chosen), cuda.shfl_sync(FULL, sent, chosen)
        many = cuda.shfl_sync(FULL, min(plan.nvl_chunk, count - sent), chosen)
        send_rows(plan, desk, target, chosen, row, at, many)
        if lane() == chosen:
            sent += many


@device
def rows_for(plan, desk, target):
    """The first of a lane's node's rows that go back to GPU `target`, and how many they are."""
    first, end = 0, 0
    if lane() < plan.nodes:
        here = noted(desk)
        starts = own(plan, here.rank, RANK_ROWS)
        place = (lane() * plan.gpus + target) * plan.channels + here.channel
        first, end = range_of(starts, place)
    return first, end - first


@device
def send_rows(plan, desk, target, node, row, at, many):
    """Write `many` rows and their weights into a node's sub-ring from number `at` on, then raise its tail. A warp."""
    step = 0
    while step < many:
        here = noted(desk)
        slot = heap_of(plan, here.node * plan.gpus + target)
        slot += nvl_slot(plan, here.channel, here.local, node, at + step)
        tokens = own(plan, here.rank, TOKENS) + (row + step) * plan.message.row_bytes
        copy_input(slot, tokens, plan.message.row_bytes)
        weights = own(plan, here.rank, WEIGHTS) + 4 * (row + step) * plan.message.weights
        copy_words(slot + plan.message.weights_at, weights, plan.message.weights)
        step += 1
    cuda.syncwarp()  # all lanes have written before one tells
    if lane() == 0:
        here = noted(desk)
        peer = heap_of(plan, here.node * plan.gpus + target)
        tail = nvl_word(plan, plan.rings.nvl_tail, here.channel, here.local, node)
        ptx.st_release_sys(peer + tail, at + many)


@device
def receiver(plan, desk, words, which):
    """A warp: add up every `receivers`-th token of the channel over the nodes that it went to. Lane n stands for node n.

    How far the warp has come in each node's ring is in the block's words, `receivers` for each node.
    """
    token, end = tokens_of_channel(plan, desk)
    token += which
    while token < end:
        head = head_at(plan, desk, token)
        post(words + 8 * (lane() * plan.receivers + which), freed_before(head))
        if not has_sums(plan, desk, head):
            return
        add_up(plan, desk, token, head)
        post(words + 8 * (lane() * plan.receivers + which), head + 1)
        token += plan.receivers
    if lane() < plan.nodes:
        ptx.st_release_cta(words + 8 * (lane() * plan.receivers + which), ENDLESS)


@device
def tokens_of_channel(plan, desk):
    """The first token of the channel here and the one after its last."""
    here = noted(desk)
    return tokens_of(here.channel, plan.channels, own(plan, here.rank, TOKENS_HERE))


@device
def head_at(plan, desk, token):
    """At which counter each node's sum of a token travels, or how far one may free; -1 in lanes beyond."""
    head = -1
    if lane() < plan.nodes:
        heads = own(plan, noted(desk).rank, FREEING_RDMA_HEADS)
        head = ptx.ld_i64(heads + 8 * (token * plan.nodes + lane()))
    return head


@device
def has_sums(plan, desk, head):
    """Whether the node's sum number `head`, if there is one, came to this heap. A lane a node."""
    went_well = True
    if head >= 0:
        here, node = noted(desk), lane()
        tail = here.heap + rdma_word(plan, plan.rings.rdma_tail, here.channel, node)
        who = Who(REDUCING_RECEIVER, here.channel, here.rank, node * plan.gpus + here.local, TAIL)
        went_well = wait(plan, tail, head + 1, head, who)
    return all_lanes(went_well)


@device
def add_up(plan, desk, token, head):
    """Write a token's sum over nodes, in their order, and that of its weights. A warp."""
    here, address = noted(desk), 0
    if head >= 0:
        address = here.heap + rdma_slot(plan, here.channel, lane(), head)
    sums = own(plan, here.rank, OUT_TOKENS)
    add_rows(sums + token * plan.message.row_bytes, address, plan.nodes, plan.message.row_bytes)
    if head >= 0:
        address += plan.message.weights_at
    sums = own(plan, noted(desk).rank, OUT_WEIGHTS) + 4 * token * plan.message.weights
    add_weights(sums, address, plan.nodes, plan.message.weights)
    cuda.syncwarp()  # all lanes have read before one lets the slots go


@device
def receiver_coordinator(plan, desk, words):
    """A warp: give a node's forwarders their slots back when every receiver has passed them, a chunk or more at a time.

    Lane n stands for node n. Behind the receivers' words is one for each node: what it was told.
    """
    node, told = lane(), words + 8 * plan.nodes * plan.receivers
    reported = 0 if node < plan.nodes else ENDLESS
    while cuda.any_sync(FULL, reported < ENDLESS):
        here = noted(desk)
        who = Who(RECEIVER_COORDINATOR, here.channel, here.rank, here.rank, COUNT)
        if not any_grew(plan, words, plan.receivers, told, plan.nodes, plan.rdma_chunk, who):
            return
        if reported < ENDLESS:
            free = lowest_in_block(words + 8 * node * plan.receivers, plan.receivers)
            if free >= reported + plan.rdma_chunk:
                if free < ENDLESS:
                    give_back(plan, noted(desk), node, free - reported)
                reported = free
                ptx.st_relaxed_cta(told + 8 * node, reported)
        cuda.syncwarp()
