"""A small ring in the style of the shipped kernels: one rank sends numbers to another over NVLink or over the network."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dualpipe_ref.comm.kernels.machine import cuda, device, link, ptx
from dualpipe_ref.comm.kernels.moving import block_of, copy, lane, rank_of
from dualpipe_ref.comm.kernels.waiting import HEAD, RECORD_WORDS, TAIL, Who, all_lanes, wait

SENDER, RECEIVER = 1, 2
SIZE = 64  # bytes of a message
SLOTS = 2
# Where things lie in the heaps.
TAIL_AT, HEAD_AT, RING, STAGING = 0, 16, 64, 64 + SLOTS * SIZE
HEAP = STAGING + SLOTS * SIZE


class Plan(NamedTuple):
    first_rank: int
    blocks: int
    heaps: int
    errors: int
    timeout: int
    input: int
    output: int
    messages: int
    receiver: int


@device
def send(plan):
    """Sends all messages, by the first warp of rank 0: waits for a free slot, copies, raises the tail."""
    here = ptx.ld_i64(plan.heaps)
    there = ptx.ld_i64(plan.heaps + 8 * plan.receiver)
    for number in range(plan.messages):
        slot = SIZE * (number % SLOTS)
        good = True
        if lane() == 0:
            who = Who(SENDER, 0, 0, plan.receiver, HEAD)
            good = wait(plan, here + HEAD_AT, number + 1 - SLOTS, number, who)
        if not all_lanes(good):
            return
        copy(there + RING + slot, plan.input + SIZE * number, SIZE)
        cuda.syncwarp()
        if lane() == 0:
            ptx.st_release_sys(there + TAIL_AT, number + 1)


@device
def send_far(plan):
    """The same over the network, through a staging ring in the own heap."""
    here = ptx.ld_i64(plan.heaps)
    for number in range(plan.messages):
        slot = SIZE * (number % SLOTS)
        good = True
        if lane() == 0:
            who = Who(SENDER, 0, 0, plan.receiver, HEAD)
            good = wait(plan, here + HEAD_AT, number + 1 - SLOTS, number, who)
        if not all_lanes(good):
            return
        copy(here + STAGING + slot, plan.input + SIZE * number, SIZE)
        cuda.syncwarp()
        link.put(plan, 0, plan.receiver, 0, RING + slot, STAGING + slot, SIZE)
        if lane() == 0:
            link.add(plan, 0, plan.receiver, 0, TAIL_AT, 1)


@device
def receive(plan, far):
    """Takes all messages, by the first warp of the receiver: waits for the tail, copies out, gives the slot back."""
    here = ptx.ld_i64(plan.heaps + 8 * plan.receiver)
    for number in range(plan.messages):
        slot = SIZE * (number % SLOTS)
        good = True
        if lane() == 0:
            good = wait(
                plan, here + TAIL_AT, number + 1, number, Who(RECEIVER, 0, plan.receiver, 0, TAIL)
            )
        if not all_lanes(good):
            return
        copy(plan.output + SIZE * number, here + RING + slot, SIZE)
        cuda.syncwarp()
        if lane() == 0:
            if far:
                link.add(plan, plan.receiver, 0, 1, HEAD_AT, 1)
            else:
                ptx.st_relaxed_sys(ptx.ld_i64(plan.heaps) + HEAD_AT, number + 1)


def near(plan):
    if block_of(plan) == 0:
        if rank_of(plan) == 0:
            send(plan)
        elif rank_of(plan) == plan.receiver:
            receive(plan, False)


def far(plan):
    if block_of(plan) == 0:
        if rank_of(plan) == 0:
            send_far(plan)
        elif rank_of(plan) == plan.receiver:
            receive(plan, True)


def only_sends(plan):
    if rank_of(plan) == 0:
        send(plan)


def run(emulated, kernel, messages=5, receiver=1, timeout=10**10):
    """Run the ring; gives what was sent, what was received, and the error record."""
    words = messages * SIZE // 4
    sent = torch.arange(1, words + 1, dtype=torch.int32)
    received = torch.zeros(words, dtype=torch.int32)
    errors = torch.zeros(RECORD_WORDS, dtype=torch.int64)
    emulated.heaps(HEAP)
    plan = Plan(
        0,
        1,
        emulated.heap_addresses().data_ptr(),
        errors.data_ptr(),
        timeout,
        sent.data_ptr(),
        received.data_ptr(),
        messages,
        receiver,
    )
    emulated.launch(
        kernel, plan, blocks=1, threads=emulated.lanes, tensors=[sent, received, errors]
    )
    return sent, received, errors
