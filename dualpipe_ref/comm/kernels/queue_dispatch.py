"""Dispatch through queues: the kernel, and the roles that send. The roles are those of `protocol/dispatch_roles.py`.

Two blocks a channel. The first one's warps are a forwarder for each GPU of the node and their coordinator; the second
one's are the senders, their coordinator, and a receiver for each GPU of the node.
"""

from __future__ import annotations

import numpy as np

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import block_of, lane, warp
from dualpipe_ref.comm.kernels.packing import Inputs, own, pack
from dualpipe_ref.comm.kernels.queue_forward import forwarder, forwarder_coordinator
from dualpipe_ref.comm.kernels.queue_plan import (
    BLOCK_WORDS,
    MASK,
    RANK,
    clear_block,
    here_of,
    next_lane,
    publish,
    rdma_word,
    staging_slot,
    tokens_of,
)
from dualpipe_ref.comm.kernels.queue_receive import receiver
from dualpipe_ref.comm.kernels.queue_roles import SENDER, SENDER_COORDINATOR, SENDER_WINDOW
from dualpipe_ref.comm.kernels.queue_tables import (
    EXPERTS,
    MASKS,
    RDMA_HEADS,
    SCALES,
    SENT,
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
    any_lane_in_block,
    wait,
    wait_in_block,
)
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended


def dispatch(plan):
    """Every warp of a launch takes its role. Which peer it serves is rotated by the channel, to spread the load."""
    write_began(plan)
    here = here_of(plan)
    words = ptx.shared_address(cuda.shared.array(BLOCK_WORDS, np.int64))
    clear_block(words, plan.block_words)
    me = warp()
    if block_of(plan) % 2 == 0:
        if me < plan.gpus:
            forwarder(plan, here, words, (me + here.channel) % plan.gpus)
        elif me == plan.gpus:
            forwarder_coordinator(plan, here, words)
    elif me < plan.senders:
        sender(plan, here, words, me)
    elif me == plan.senders:
        sender_coordinator(plan, here, words)
    elif me <= plan.senders + plan.gpus:
        receiver(plan, here, (me + here.channel) % plan.gpus)
    write_ended(plan)


@device
def sender(plan, here, words, which):
    """A warp: write every `senders`-th token of the channel into the ring of each node that wants it; count all of them.

    Lane n counts what goes to node n. A ring's slots are written in any order among the warps; the block's words hold,
    for each node, a window of marks of those that are done, then how many the coordinator has seen done without a gap.
    """
    node, counter = lane(), 0
    masks, heads = own(plan, here.rank, MASKS), own(plan, here.rank, RDMA_HEADS)
    first, end = tokens_of(here.channel, plan.channels, own(plan, here.rank, TOKENS_HERE))
    for token in range(first, end):
        wanted = 0
        if node < plan.nodes:
            wanted = ptx.ld_i64(masks + 8 * (token * plan.nodes + node))
        if (token - first) % plan.senders == which:
            if not has_credit(plan, here, node, counter, wanted != 0):
                return
            if plan.is_new and node < plan.nodes:
                head = counter if wanted != 0 else -1
                ptx.st_i64(heads + 8 * (token * plan.nodes + node), head)
            write(plan, here, token, counter, wanted)
            if not finish(plan, here, words, node, counter, wanted != 0):
                return
        if wanted != 0:
            counter += 1


@device
def has_credit(plan, here, node, counter, is_wanted):
    """Whether the slot of message `counter` to each node became free: the head that the node's forwarders gave back."""
    went_well = True
    if is_wanted:
        head = here.heap + rdma_word(plan, plan.rings.rdma_head, here.channel, node)
        who = Who(SENDER, here.channel, here.rank, node * plan.gpus + here.local, HEAD)
        went_well = wait(plan, head, counter - plan.rdma_ring + 1, counter, who)
    return all_lanes(went_well)


@device
def write(plan, here, token, counter, wanted):
    """Put the token's message together for each node that wants it. A warp; lane n holds node n's counter and mask."""
    inputs = Inputs(
        own(plan, here.rank, TOKENS),
        own(plan, here.rank, SCALES),
        own(plan, here.rank, EXPERTS),
        own(plan, here.rank, WEIGHTS),
    )
    for node in range(plan.nodes):
        mask, at = cuda.shfl_sync(FULL, wanted, node), cuda.shfl_sync(FULL, counter, node)
        if mask != 0:
            message = here.heap + staging_slot(plan, here, node, at)
            pack(plan, message, inputs, token)
            if lane() == 0:
                ptx.st_i32(message + plan.message.meta_at + 4 * RANK, here.rank)
                ptx.st_i32(message + plan.message.meta_at + 4 * MASK, mask)
    cuda.syncwarp()  # all lanes have written before one tells


@device
def finish(plan, here, words, node, counter, is_wanted):
    """Mark the slots of one token as done; a slot beyond the window waits until it is inside. A warp."""
    went_well = True
    if is_wanted:
        staged = words + 8 * (plan.nodes * plan.window + node)
        who = Who(SENDER_WINDOW, here.channel, here.rank, here.rank, COUNT)
        went_well = wait_in_block(plan, staged, counter - plan.window + 1, counter, who)
        if went_well:
            ptx.st_release_cta(done_word(plan, words, node, counter), counter + 1)
    return all_lanes(went_well)


@device
def done_word(plan, words, node, counter):
    """Where it is marked that message `counter` to a node is written: its number and one, so that it is never cleared."""
    return words + 8 * (node * plan.window + counter % plan.window)


@device
def sender_coordinator(plan, here, words):
    """A warp: put what is staged, a chunk at a time; less only where nothing more comes. Lane n stands for node n.

    It starts with another node on each rank and channel, so that not all of them write to one.
    """
    node, total, staged, issued = lane(), 0, 0, 0
    if node < plan.nodes:
        sent = own(plan, here.rank, SENT)
        total = ptx.ld_i64(sent + 8 * (node * plan.channels + here.channel))
    turn = here.channel + here.node
    while cuda.any_sync(FULL, issued < total):
        staged = staged_now(plan, words, node, staged, total)
        is_ready = issued < total and staged >= min(issued + plan.rdma_chunk, total)
        votes = cuda.ballot_sync(FULL, is_ready)
        if votes == 0:
            address = 0
            if staged < total:
                address = done_word(plan, words, node, staged)
            who = Who(SENDER_COORDINATOR, here.channel, here.rank, here.rank, TAIL)
            if any_lane_in_block(plan, address, staged + 1, issued, who) < 0:
                return
        else:
            chosen = next_lane(votes, turn, plan.nodes)
            count = min(staged - issued, plan.rdma_chunk)
            first, count = cuda.shfl_sync(FULL, issued, chosen), cuda.shfl_sync(FULL, count, chosen)
            publish(plan, here, chosen, first, count)
            if node == chosen:
                issued += count
            turn = chosen + 1


@device
def staged_now(plan, words, node, staged, total):
    """How many messages to a node are done without a gap; the senders are told. One lane, which acquires them."""
    before = staged
    for _ in range(plan.window):
        if staged == total or ptx.ld_acquire_cta(done_word(plan, words, node, staged)) <= staged:
            break
        staged += 1
    if staged > before:
        ptx.st_relaxed_cta(words + 8 * (plan.nodes * plan.window + node), staged)
    return staged
