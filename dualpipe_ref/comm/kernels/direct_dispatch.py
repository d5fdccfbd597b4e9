"""Dispatch with direct slots: senders, forwarders and receivers in every block.

All three are in every block, because each moves about as many bytes as the others, at the same time: so every SM is busy
until the end, and any number of SMs will do. Who forwards or receives takes turns among its sources, a run of each, in
the order in which the senders go through their tokens: so it waits only for what was sent about when the last was.
"""

from __future__ import annotations

from dualpipe_ref.comm.kernels.direct_plan import (
    FORWARDED,
    FORWARDER,
    NODE_PLACES,
    RAIL_COUNTS,
    RAIL_ROWS,
    RAIL_STARTS,
    RANK_COUNTS,
    RANK_PLACES,
    RANK_ROWS,
    RANK_STARTS,
    RECEIVER,
    REST,
    SENT_COUNTS,
    SENT_STARTS,
    TOKENS,
    put_run,
    rail_slot,
    rail_tail,
    rail_word_of,
    rank_slot,
    rank_tail,
    stage_slot,
    word_of,
)
from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import block_of, copy, lane, rank_of, warp
from dualpipe_ref.comm.kernels.packing import Inputs, Outputs, heap_of, own, pack, unpack
from dualpipe_ref.comm.kernels.waiting import TAIL, Who, all_lanes, wait, wait_behind
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended


def dispatch(plan):
    """Every warp of a launch takes its role."""
    write_began(plan)
    rank, block, me, warps = rank_of(plan), block_of(plan), warp(), plan.warps
    if me < warps.first:
        send(plan, rank, block * warps.first + me)
    elif me < warps.first + warps.second:
        forward(plan, rank, block * warps.second + me - warps.first)
    else:
        receive(plan, rank, block * warps.third + me - warps.first - warps.second)
    write_ended(plan)


@device
def send(plan, rank, channel):
    """A warp: put each token of the channel together for each node that wants it; every `run` messages for a node, put them.

    It never waits: every message has its slot. Nodes are gone through from another one on each channel, so that not all
    ranks write to one.
    """
    tokens, places = own(plan, rank, TOKENS), own(plan, rank, NODE_PLACES)
    starts, share = own(plan, rank, SENT_STARTS), (tokens + plan.channels - 1) // plan.channels
    for token in range(min(channel * share, tokens), min(channel * share + share, tokens)):
        place = -1
        if lane() < plan.nodes:
            place = ptx.ld_i64(places + 8 * (token * plan.nodes + lane()))
        for turn in range(plan.nodes):
            node = (rank // plan.gpus + channel + turn) % plan.nodes
            at = cuda.shfl_sync(FULL, place, node)
            if at >= 0:
                stage(plan, rank, token, node, at)
                done = at + 1 - rail_word_of(starts, node, channel, plan.gpus, plan)
                if done % plan.run == 0:
                    put_run(plan, rank, channel, node, at + 1 - plan.run, plan.run)
    put_rest(plan, rank, channel, starts)


@device
def put_rest(plan, rank, channel, starts):
    """Put what makes no whole run."""
    counts = own(plan, rank, SENT_COUNTS)
    for node in range(plan.nodes):
        count = rail_word_of(counts, node, channel, plan.gpus, plan)
        rest = count % plan.run
        if rest > 0:
            end = rail_word_of(starts, node, channel, plan.gpus, plan) + count
            put_run(plan, rank, channel, node, end - rest, rest)


@device
def stage(plan, rank, token, node, place):
    """Write a token's message for a node into its staging slot. Its meta: the token, then its place for each GPU there, or -1."""
    inputs = Inputs(
        own(plan, rank, REST),
        own(plan, rank, REST + 1),
        own(plan, rank, REST + 2),
        own(plan, rank, REST + 3),
    )
    slot = heap_of(plan, rank) + stage_slot(plan, node, place)
    pack(plan, slot, inputs, token)
    if lane() < plan.gpus:
        ranks = plan.nodes * plan.gpus
        at = token * ranks + node * plan.gpus + lane()
        there = ptx.ld_i64(own(plan, rank, RANK_PLACES) + 8 * at)
        ptx.st_i32(slot + plan.message.meta_at + 4 + 4 * lane(), there)


@device
def forward(plan, rank, which):
    """A warp: pass on what comes on the rail; every so many pairs of a node and a channel of it are its own."""
    counts, step = own(plan, rank, RAIL_COUNTS), plan.blocks * plan.warps.second
    done, is_busy = 0, True
    while is_busy:
        is_busy = False
        for pair in range(which, plan.nodes * plan.channels, step):
            node, channel = pair % plan.nodes, pair // plan.nodes
            count = rail_word_of(counts, node, channel, plan.gpus, plan)
            if done < count:
                until = min(done + plan.run, count)
                if not forward_run(plan, rank, node, channel, done, until):
                    return
                if until < count:
                    is_busy = True
        done += plan.run


@device
def forward_run(plan, rank, node, channel, done, until):
    """Wait for a run of messages in the own heap, copy each into the heap of every GPU of the node that it names, and say so.

    Lane j holds the place for GPU j. Places are kept for combine.
    """
    heap, source = heap_of(plan, rank), node * plan.gpus + rank % plan.gpus
    went_well = True
    if lane() == 0:
        who = Who(FORWARDER, channel, rank, source, TAIL)
        went_well = wait(plan, heap + rail_tail(plan, node, channel), until, done, who)
    if not all_lanes(went_well):
        return False
    start = rail_word_of(own(plan, rank, RAIL_STARTS), node, channel, plan.gpus, plan)
    last = -1
    for place in range(start + done, start + until):
        slot = heap + rail_slot(plan, node, place)
        there = place_there(plan, rank, node, place, slot)
        for turn in range(plan.gpus):
            local = (channel + turn) % plan.gpus
            at = cuda.shfl_sync(FULL, there, local)
            if at >= 0:
                target = heap_of(plan, rank - rank % plan.gpus + local) + rank_slot(
                    plan, source, at
                )
                copy(target, slot, plan.message.size)
        if there >= 0:
            last = there
    publish(plan, rank, node, channel, last)
    return True


@device
def place_there(plan, rank, node, place, slot):
    """The place that a message names for the GPU of this lane, or -1; it is kept for combine."""
    there = -1
    if lane() < plan.gpus:
        there = ptx.ld_i32(slot + plan.message.meta_at + 4 + 4 * lane())
        row = ptx.ld_i64(own(plan, rank, RAIL_ROWS) + 8 * node) + place
        ptx.st_i64(own(plan, rank, FORWARDED) + 8 * (row * plan.gpus + lane()), there)
    return there


@device
def publish(plan, rank, node, channel, last):
    """Tell each GPU that got any how many it has from this channel. Lane j holds the `last` place on GPU j, or -1."""
    cuda.syncwarp()  # the lane that tells releases what all lanes wrote
    if lane() < plan.gpus and last >= 0:
        there = heap_of(plan, rank - rank % plan.gpus + lane())
        source = node * plan.gpus + rank % plan.gpus
        start = rail_word_of(own(plan, rank, RAIL_STARTS), node, channel, lane(), plan)
        ptx.st_release_sys(there + rank_tail(plan, source, channel), last + 1 - start)


@device
def receive(plan, rank, which):
    """A warp: bring what was forwarded here to its rows; every so many pairs of a source and a channel of it are its own."""
    counts, step = own(plan, rank, RANK_COUNTS), plan.blocks * plan.warps.third
    sources = plan.nodes * plan.gpus
    done, is_busy = 0, True
    while is_busy:
        is_busy = False
        for pair in range(which, sources * plan.channels, step):
            source, channel = pair % sources, pair // sources
            count = word_of(counts, source, channel, plan)
            if done < count:
                until = min(done + plan.run, count)
                if not receive_run(plan, rank, source, channel, done, until):
                    return
                if until < count:
                    is_busy = True
        done += plan.run


@device
def receive_run(plan, rank, source, channel, done, until):
    """Wait for a run of messages in the own heap, and unpack each into its row: after those of earlier ranks, in its place."""
    heap, went_well = heap_of(plan, rank), True
    if lane() == 0:
        who = Who(RECEIVER, channel, rank, source, TAIL)
        tail = heap + rank_tail(plan, source, channel)
        went_well = wait_behind(plan, tail, until, done, who)
    if not all_lanes(went_well):
        return False
    outputs = Outputs(
        own(plan, rank, REST + 4),
        own(plan, rank, REST + 5),
        own(plan, rank, REST + 6),
        own(plan, rank, REST + 7),
        own(plan, rank, REST + 8),
    )
    first = ptx.ld_i64(own(plan, rank, RANK_ROWS) + 8 * source)
    start = word_of(own(plan, rank, RANK_STARTS), source, channel, plan)
    for place in range(start + done, start + until):
        slot = heap + rank_slot(plan, source, place)
        unpack(plan, slot, outputs, first + place, source, rank * plan.experts_here)
    return True
