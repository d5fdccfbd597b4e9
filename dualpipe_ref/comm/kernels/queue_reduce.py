"""Combine through queues, in the middle: rows of one token become one row inside the node, which alone crosses RDMA.

The roles are those of `protocol/combine_roles.py`.
"""

from __future__ import annotations

from dualpipe_ref.comm.kernels.adding import add_rows, add_weights
from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.packing import heap_of, own
from dualpipe_ref.comm.kernels.queue_heads import freed_before
from dualpipe_ref.comm.kernels.queue_plan import (
    ENDLESS,
    noted,
    nvl_slot,
    nvl_word,
    publish,
    range_of,
    rdma_word,
    staging_slot,
)
from dualpipe_ref.comm.kernels.queue_roles import (
    REDUCING_BARRIER,
    REDUCING_COORDINATOR,
    REDUCING_CREDIT,
    REDUCING_FORWARDER,
)
from dualpipe_ref.comm.kernels.queue_tables import FREEING_NVL_HEADS, RAIL_ROWS
from dualpipe_ref.comm.kernels.waiting import (
    COUNT,
    HEAD,
    TAIL,
    Who,
    all_lanes,
    any_grew,
    lowest_in_block,
    wait,
    wait_in_block,
)


@device
def forwarder(plan, desk, words, node, which):
    """A warp of a large warp: add up every `large_warp`-th message of each chunk for a node; the last warp puts the chunk.

    Lane l stands for GPU l of the own node. In the block's words stands how far each warp has come in each sub-ring,
    `large_warp` for each node and GPU; behind them, for each node, how many messages its warps together have put behind them.
    """
    first, count = 0, messages_for(plan, desk, node)
    while first < count:
        end = min(first + plan.rdma_chunk, count)
        if not has_credit(plan, desk, node, end):
            return
        at = first + which
        while at < end:
            head = head_of(plan, desk, node, at)
            post(place_of(plan, words, node, which), freed_before(head))
            if not has_rows(plan, desk, node, head):
                return
            add_up(plan, desk, node, head, at)
            post(place_of(plan, words, node, which), head + 1)
            at += plan.large_warp
        if not meet(plan, desk, words, node, first + plan.rdma_chunk):
            return
        if which == plan.large_warp - 1:
            publish(plan, noted(desk), node, first, end - first)
        first = end
    if lane() < plan.gpus:
        ptx.st_release_cta(place_of(plan, words, node, which), ENDLESS)


@device
def place_of(plan, words, node, which):
    """The word in which a warp of a node's large warp tells how far it has come in each sub-ring. A lane a GPU."""
    return words + 8 * ((node * plan.gpus + lane()) * plan.large_warp + which)


@device
def messages_for(plan, desk, node):
    """How many sums go to a node through this channel."""
    here = noted(desk)
    starts = own(plan, here.rank, RAIL_ROWS)
    row, end = range_of(starts, node * plan.channels + here.channel)
    return end - row


@device
def head_of(plan, desk, node, at):
    """At which counter each GPU's row for message `at` of a node travels, or how far one may free; -1 in lanes beyond."""
    here = noted(desk)
    row = ptx.ld_i64(own(plan, here.rank, RAIL_ROWS) + 8 * (node * plan.channels + here.channel))
    head = -1
    if lane() < plan.gpus:
        heads = own(plan, here.rank, FREEING_NVL_HEADS)
        head = ptx.ld_i64(heads + 8 * ((row + at) * plan.gpus + lane()))
    return head


@device
def post(word, freed):
    """Tell the coordinator how far slots are let go, if that is news. A lane a ring; one without a ring lets nothing go."""
    if freed > 0 and freed > ptx.ld_relaxed_cta(word):
        ptx.st_release_cta(word, freed)


@device
def has_credit(plan, desk, node, end):
    """Whether a chunk that ends before message `end` came to have its slots free, here and at the node. A warp."""
    went_well = True
    if lane() == 0:
        here = noted(desk)
        head = here.heap + rdma_word(plan, plan.rings.rdma_head, here.channel, node)
        who = Who(REDUCING_CREDIT, here.channel, here.rank, node * plan.gpus + here.local, HEAD)
        went_well = wait(plan, head, end - plan.rdma_ring, end, who)
    return all_lanes(went_well)


@device
def has_rows(plan, desk, node, head):
    """Whether the row number `head` of a GPU's sub-ring, if there is one, came to this heap. A lane a GPU."""
    went_well = True
    if head >= 0:
        here, local = noted(desk), lane()
        tail = here.heap + nvl_word(plan, plan.rings.nvl_tail, here.channel, local, node)
        peer = here.node * plan.gpus + local
        who = Who(REDUCING_FORWARDER, here.channel, here.rank, peer, TAIL)
        went_well = wait(plan, tail, head + 1, head, who)
    return all_lanes(went_well)


@device
def add_up(plan, desk, node, head, at):
    """Write message `at` for a node: the sum over the own node's GPUs, in their order, and that of the weights. A warp."""
    here, address, weights = noted(desk), 0, 0
    if head >= 0:
        address = here.heap + nvl_slot(plan, here.channel, lane(), node, head)
        weights = address + plan.message.weights_at
    target = here.heap + staging_slot(plan, here, node, at)
    add_rows(target, address, plan.gpus, plan.message.row_bytes)
    add_weights(target + plan.message.weights_at, weights, plan.gpus, plan.message.weights)
    cuda.syncwarp()  # all lanes have read before one lets the slots go, and written before one arrives


@device
def meet(plan, desk, words, node, end):
    """Whether all warps of a node's large warp came to the end of the chunk, each of which adds as many as a chunk has. A warp."""
    arrived = words + 8 * (plan.nodes * plan.gpus * plan.large_warp + node)
    went_well = True
    if lane() == 0:
        ptx.red_add_release_cta(arrived, plan.rdma_chunk)
        here = noted(desk)
        who = Who(REDUCING_BARRIER, here.channel, here.rank, here.rank, COUNT)
        went_well = wait_in_block(plan, arrived, plan.large_warp * end, 0, who)
    return all_lanes(went_well)


@device
def forwarder_coordinator(plan, desk, words):
    """A warp: tell each sender of the node how far all warps of a large warp have come in its sub-ring.

    Lanes share pairs of a node and a GPU. What was told stands behind the arrivals in the block's words.
    """
    pairs = plan.nodes * plan.gpus
    told = words + 8 * (pairs * plan.large_warp + plan.nodes)
    while has_more(told, pairs):
        here = noted(desk)
        who = Who(REDUCING_COORDINATOR, here.channel, here.rank, here.rank, COUNT)
        if not any_grew(plan, words, plan.large_warp, told, pairs, 1, who):
            return
        pair = lane()
        while pair < pairs:
            free = lowest_in_block(words + 8 * pair * plan.large_warp, plan.large_warp)
            if free > ptx.ld_relaxed_cta(told + 8 * pair):
                if free < ENDLESS:
                    here = noted(desk)
                    peer = heap_of(plan, here.node * plan.gpus + pair % plan.gpus)
                    sub_ring = pair // plan.gpus
                    head = nvl_word(plan, plan.rings.nvl_head, here.channel, here.local, sub_ring)
                    ptx.st_release_sys(peer + head, free)
                ptx.st_relaxed_cta(told + 8 * pair, free)
            pair += cuda.warpsize
        cuda.syncwarp()


@device
def has_more(told, items):
    """Whether one of the items is not told to the end. A warp."""
    is_open = False
    for item in range(lane(), items, cuda.warpsize):
        if ptx.ld_relaxed_cta(told + 8 * item) < ENDLESS:
            is_open = True
    return cuda.any_sync(FULL, is_open)
