"""Combine with direct slots, the way of dispatch back: rows are added inside each node, and the nodes' sums at home.

Every row has the place that its message had, so nobody needs to be told more than a handle keeps. Sums are made in
float32 in the order of GPUs, rounded, then in the order of nodes: the same bits whoever comes first.
"""

from __future__ import annotations

from dualpipe_ref.comm.kernels.adding import add_rows, add_weights
from dualpipe_ref.comm.kernels.direct_plan import (
    ADDER,
    FORWARDED,
    HOME,
    NODE_PLACES,
    RAIL_COUNTS,
    RAIL_ROWS,
    RAIL_STARTS,
    RANK_COUNTS,
    RANK_ROWS,
    RANK_STARTS,
    REST,
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
from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import block_of, lane, rank_of, warp
from dualpipe_ref.comm.kernels.packing import copy_input, copy_words, heap_of, own
from dualpipe_ref.comm.kernels.waiting import TAIL, Who, all_lanes, wait, wait_behind
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended

ROWS, WEIGHTS, SUMS, SUMMED_WEIGHTS = REST, REST + 1, REST + 2, REST + 3


def combine(plan):
    """Every warp of a launch takes its role."""
    write_began(plan)
    rank, block, me, warps = rank_of(plan), block_of(plan), warp(), plan.warps
    if me < warps.first:
        give_back(plan, rank, block * warps.first + me)
    elif me < warps.first + warps.second:
        add_in_node(plan, rank, block * warps.second + me - warps.first)
    else:
        add_at_home(plan, rank, block * warps.third + me - warps.first - warps.second)
    write_ended(plan)


@device
def give_back(plan, rank, which):
    """A warp: bring rows to the GPU of the own node through which their tokens came. It never waits.

    Every so many pairs of a source and a channel of it are its own, a run of each in turn, as whoever adds them waits.
    """
    counts, step = own(plan, rank, RANK_COUNTS), plan.blocks * plan.warps.first
    sources = plan.nodes * plan.gpus
    done, is_busy = 0, True
    while is_busy:
        is_busy = False
        for pair in range(which, sources * plan.channels, step):
            source, channel = pair % sources, pair // sources
            count = word_of(counts, source, channel, plan)
            if done < count:
                until = min(done + plan.run, count)
                give_run(plan, rank, source, channel, done, until)
                if until < count:
                    is_busy = True
        done += plan.run


@device
def give_run(plan, rank, source, channel, done, until):
    """Copy a run of rows, and the weights that go along, into the forwarder's heap; then say there how many there are."""
    parts, local = plan.message, rank % plan.gpus
    which = source - source % plan.gpus + local
    there = heap_of(plan, rank - local + source % plan.gpus)
    first = ptx.ld_i64(own(plan, rank, RANK_ROWS) + 8 * source)
    start = word_of(own(plan, rank, RANK_STARTS), source, channel, plan)
    rows, weights = own(plan, rank, ROWS), own(plan, rank, WEIGHTS)
    for place in range(start + done, start + until):
        row, slot = first + place, there + rank_slot(plan, which, place)
        copy_input(slot, rows + row * parts.row_bytes, parts.row_bytes)
        copy_words(slot + parts.weights_at, weights + 4 * row * parts.weights, parts.weights)
    cuda.syncwarp()  # the lane that tells releases what all lanes wrote
    if lane() == 0:
        ptx.st_release_sys(there + rank_tail(plan, which, channel), until)


@device
def add_in_node(plan, rank, which):
    """A warp: add the rows of the own node's GPUs for each message that came on the rail, and put the sums back home."""
    counts, step = own(plan, rank, RAIL_COUNTS), plan.blocks * plan.warps.second
    done, is_busy = 0, True
    while is_busy:
        is_busy = False
        for pair in range(which, plan.nodes * plan.channels, step):
            node, channel = pair % plan.nodes, pair // plan.nodes
            count = rail_word_of(counts, node, channel, plan.gpus, plan)
            if done < count:
                until = min(done + plan.run, count)
                if not add_run(plan, rank, node, channel, done, until):
                    return
                if until < count:
                    is_busy = True
        done += plan.run


@device
def add_run(plan, rank, node, channel, done, until):
    """Add a run of messages, each as soon as its rows are in the own heap. A warp; lane j waits for GPU j's row."""
    heap = heap_of(plan, rank)
    start = rail_word_of(own(plan, rank, RAIL_STARTS), node, channel, plan.gpus, plan)
    for place in range(start + done, start + until):
        row, went_well = 0, True
        if lane() < plan.gpus:
            at = place_of_row(plan, rank, node, place)
            if at >= 0:
                went_well = wait_for_row(plan, rank, node, channel, at)
                row = heap + rank_slot(plan, node * plan.gpus + lane(), at)
        if not all_lanes(went_well):
            return False
        target = heap + stage_slot(plan, node, place)
        add_message(plan, target, target + plan.message.weights_at, row, plan.gpus)
    put_run(plan, rank, channel, node, start + done, until - done)
    return True


@device
def place_of_row(plan, rank, node, place):
    """The place of the row of this lane's GPU for a message that came on the rail, or -1; as dispatch kept it."""
    row = ptx.ld_i64(own(plan, rank, RAIL_ROWS) + 8 * node) + place
    return ptx.ld_i64(own(plan, rank, FORWARDED) + 8 * (row * plan.gpus + lane()))


@device
def wait_for_row(plan, rank, node, channel, at):
    """Whether the row of this lane's GPU came to its place `at`."""
    tail = heap_of(plan, rank) + rank_tail(plan, node * plan.gpus + lane(), channel)
    before = at - rail_word_of(own(plan, rank, RAIL_STARTS), node, channel, lane(), plan)
    who = Who(ADDER, channel, rank, rank - rank % plan.gpus + lane(), TAIL)
    return wait(plan, tail, before + 1, before, who)


@device
def add_message(plan, target, weights, row, count):
    """Write the sum of up to `count` messages' rows to `target`, of their weights to `weights`. Lane i has message i's address, or 0."""
    add_rows(target, row, count, plan.message.row_bytes)
    words = 0
    if row != 0:
        words = row + plan.message.weights_at
    add_weights(weights, words, count, plan.message.weights)


@device
def add_at_home(plan, rank, which):
    """A warp: add what the nodes sent back for each token; every so many channels are its own, `run` tokens of each in turn."""
    tokens, step = own(plan, rank, TOKENS), plan.blocks * plan.warps.third
    share = (tokens + plan.channels - 1) // plan.channels
    for done in range(0, share, plan.run):
        for channel in range(which, plan.channels, step):
            end = min(channel * share + min(done + plan.run, share), tokens)
            for token in range(channel * share + done, end):
                if not add_token(plan, rank, channel, token):
                    return


@device
def add_token(plan, rank, channel, token):
    """Write a token's sums, zeros if it went nowhere. A warp; lane n waits for node n."""
    heap, row, went_well = heap_of(plan, rank), 0, True
    if lane() < plan.nodes:
        at = ptx.ld_i64(own(plan, rank, NODE_PLACES) + 8 * (token * plan.nodes + lane()))
        if at >= 0:
            start = rail_word_of(own(plan, rank, SENT_STARTS), lane(), channel, plan.gpus, plan)
            who = Who(HOME, channel, rank, lane() * plan.gpus + rank % plan.gpus, TAIL)
            tail = heap + rail_tail(plan, lane(), channel)
            went_well = wait_behind(plan, tail, at - start + 1, at - start, who)
            row = heap + rail_slot(plan, lane(), at)
    if not all_lanes(went_well):
        return False
    parts = plan.message
    sums = own(plan, rank, SUMS) + token * parts.row_bytes
    weights = own(plan, rank, SUMMED_WEIGHTS) + 4 * token * parts.weights
    add_message(plan, sums, weights, row, plan.nodes)
    return True
