"""The emulated network: late, in pieces, in any order, but for an addition after what stands before it on its queue pair."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch

from dualpipe_ref.comm.kernels.machine import cuda, link, ptx
from dualpipe_ref.comm.kernels.moving import lane, rank_of
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated

FLAG, DATA, PIECES = 0, 64, 8
SIZE = 16 * PIECES
SEEDS = 48


class Plan(NamedTuple):
    first_rank: int
    blocks: int
    heaps: int
    table: int


def launch(kernel, seed, weak):
    """Rank 0 has 1, 2, 3... at DATA of its heap; gives what rank 1 wrote to the table and rank 1's heap as words."""
    emulated = Emulated(Topology(2, 1), seed=seed, weak=weak)
    heaps = emulated.heaps(DATA + SIZE)
    heaps[0].view(torch.int64)[DATA // 8 :] = torch.arange(1, 1 + SIZE // 8)
    table = torch.zeros(64, dtype=torch.int64)
    plan = Plan(0, 1, emulated.heap_addresses().data_ptr(), table.data_ptr())
    emulated.launch(kernel, plan, blocks=1, threads=4, tensors=[table])
    return table, heaps[1].view(torch.int64)


def ways(kernel, weak):
    """What rank 1 saw first, over all seeds."""
    return {tuple(launch(kernel, seed, weak)[0][:PIECES].tolist()) for seed in range(SEEDS)}


def pieces(plan):
    if rank_of(plan) == 0:
        link.put(plan, 0, 1, 0, DATA, DATA, SIZE)
    elif lane() == 0:
        here = ptx.ld_i64(plan.heaps + 8)
        some = 0
        while some == 0:
            for piece in range(PIECES):
                some += ptx.ld_relaxed_sys(here + DATA + 16 * piece)
            if some == 0:
                cuda.nanosleep(64)
        for piece in range(PIECES):
            ptx.st_i64(plan.table + 8 * piece, ptx.ld_relaxed_sys(here + DATA + 16 * piece))


def is_gapped(seen):
    """Whether a later piece was there before an earlier one."""
    return any(early == 0 and late != 0 for early, late in pairwise(seen))


@pytest.mark.parametrize("weak", [False, True])
def test_pieces_of_a_put_come_in_any_order_and_all_come(weak):
    assert any(is_gapped(seen) for seen in ways(pieces, weak))
    for seed in range(SEEDS):
        _, heap = launch(pieces, seed, weak)
        assert heap[DATA // 8 :].tolist() == list(range(1, 1 + SIZE // 8))


def ordered(plan):
    if rank_of(plan) == 0:
        link.put(plan, 0, 1, 3, DATA, DATA, SIZE)
        if lane() == 0:
            link.add(plan, 0, 1, 3, FLAG, 1)
    elif lane() == 0:
        here = ptx.ld_i64(plan.heaps + 8)
        while ptx.ld_acquire_sys(here + FLAG) == 0:
            cuda.nanosleep(64)
        for piece in range(PIECES):
            ptx.st_i64(plan.table + 8 * piece, ptx.ld_i64(here + DATA + 16 * piece))


@pytest.mark.parametrize("weak", [False, True])
def test_an_addition_waits_for_what_stands_before_it_on_its_queue_pair(weak):
    assert ways(ordered, weak) == {tuple(range(1, 2 * PIECES, 2))}


def other_pair(plan):
    if rank_of(plan) == 0:
        link.put(plan, 0, 1, 3, DATA, DATA, SIZE)
        if lane() == 0:
            link.add(plan, 0, 1, 4, FLAG, 1)
    elif lane() == 0:
        here = ptx.ld_i64(plan.heaps + 8)
        while ptx.ld_acquire_sys(here + FLAG) == 0:
            cuda.nanosleep(64)
        for piece in range(PIECES):
            ptx.st_i64(plan.table + 8 * piece, ptx.ld_i64(here + DATA + 16 * piece))


@pytest.mark.parametrize("weak", [False, True])
def test_an_addition_on_another_queue_pair_waits_for_nothing(weak):
    assert any(0 in seen for seen in ways(other_pair, weak))


def overtaken(plan):
    """Puts after an addition wait for it, so what they bring is never there before it."""
    if rank_of(plan) == 0:
        if lane() == 0:
            link.add(plan, 0, 1, 3, FLAG, 1)
        cuda.syncwarp()
        link.put(plan, 0, 1, 3, DATA, DATA, SIZE)
        if lane() == 0:
            link.add(plan, 0, 1, 3, FLAG, 1)
    elif lane() == 0:
        here = ptx.ld_i64(plan.heaps + 8)
        while ptx.ld_relaxed_sys(here + DATA) == 0:
            cuda.nanosleep(64)
        ptx.st_i64(plan.table, ptx.atom_add_acq_rel_sys(here + FLAG, 0))


def test_a_put_does_not_overtake_an_addition():
    assert {seen[0] for seen in ways(overtaken, weak=False)} == {1, 2}


def reused(plan):
    """The source changes before anything says that it was read."""
    if rank_of(plan) == 0:
        link.put(plan, 0, 1, 0, DATA, DATA, SIZE)
        if lane() == 0:
            for word in range(SIZE // 8):
                ptx.st_i64(ptx.ld_i64(plan.heaps) + DATA + 8 * word, 0)


def test_the_source_is_read_when_the_network_comes_to_it():
    ends = {tuple(launch(reused, seed, False)[1][DATA // 8 :].tolist()) for seed in range(SEEDS)}
    assert any(0 in end for end in ends)
    assert len(ends) > 3


def posts_and_ends(plan):
    if rank_of(plan) == 0:
        link.put(plan, 0, 1, 0, DATA, DATA, SIZE)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_posted_arrives_after_all_threads_have_ended(seed):
    _, heap = launch(posts_and_ends, seed, False)
    assert heap[DATA // 8 :].tolist() == list(range(1, 1 + SIZE // 8))
