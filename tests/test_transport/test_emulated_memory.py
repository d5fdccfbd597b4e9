"""What the emulator refuses that a GPU would not forgive: each names the line, the address and the nearest array."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch

from dualpipe_ref.comm.kernels.machine import FULL, cuda, link, ptx
from dualpipe_ref.comm.kernels.moving import lane, rank_of
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated, KernelError
from dualpipe_ref.schedule.errors import InputError


class Plan(NamedTuple):
    first_rank: int
    blocks: int
    heaps: int
    table: int


def launch(kernel, topology=Topology(1, 1), *, blocks=1, threads=4, tensor=None, **how):  # noqa: B008
    """Run a kernel that gets the address of `table`: 8 int64, or another tensor."""
    emulated = Emulated(topology, **how)
    emulated.heaps(256)
    table = torch.zeros(8, dtype=torch.int64) if tensor is None else tensor
    plan = Plan(0, blocks, emulated.heap_addresses().data_ptr(), table.data_ptr())
    emulated.launch(kernel, plan, blocks=blocks, threads=threads, tensors=[table])
    return table, emulated


def beyond(plan):
    ptx.st_i64(plan.table + 64, 1)


def across_the_end(plan):
    ptx.ld_v4(plan.table + 48 + 16)


def crooked(plan):
    ptx.ld_i64(plan.table + 4)


def to_another_node(plan):
    ptx.st_release_sys(ptx.ld_i64(plan.heaps + 8 * (1 - rank_of(plan))), 1)


def unwritten(plan):
    words = cuda.shared.array(4, np.int64)
    ptx.st_i64(plan.table, words[1])


def beyond_shared(plan):
    words = cuda.shared.array(4, np.int64)
    words[4] = 1


def global_of_shared(plan):
    words = cuda.shared.array(4, np.int64)
    ptx.st_release_sys(ptx.shared_address(words), 1)


def constant_and_written(plan):
    ptx.ld_v4_constant(plan.table)
    cuda.syncthreads()
    ptx.st_i64(plan.table, 1)


def constant_heap(plan):
    ptx.ld_v4_constant(ptx.ld_i64(plan.heaps))


def too_wide(plan):
    ptx.st_i32(plan.table, 1 << 31)


def different_calls(plan):
    if lane() == 0:
        cuda.syncwarp()
    else:
        cuda.all_sync(FULL, True)


def part_of_the_warp(plan):
    cuda.all_sync(1, True)


def different_puts(plan):
    link.put(plan, 0, 0, 0, 16 * lane(), 0, 16)


def off_the_rail(plan):
    if rank_of(plan) == 0 and lane() == 0:
        link.add(plan, 0, 1, 0, 0, 1)


def beyond_the_heap(plan):
    if lane() == 0:
        link.add(plan, 0, 0, 0, 256, 1)


def in_another_name(plan):
    if rank_of(plan) == 0 and lane() == 0:
        link.add(plan, 1, 1, 0, 0, 1)


REFUSED = {
    beyond: "0 bytes after the end of tensor 0 of the launch, int64[8] (64 bytes)",
    across_the_end: "access outside all arrays",
    crooked: "8 bytes at address 0x... (byte 4 of tensor 0 of the launch, int64[8]) is no multiple of 8",
    unwritten: "read before anything was stored there: bytes 8 to 16 of the shared array of unwritten",
    beyond_shared: "index 4 of a shared array of 4",
    global_of_shared: "only its block reaches shared memory",
    constant_and_written: "is read by ld_v4_constant and written in the same launch",
    constant_heap: "ld_v4_constant of the heap of rank 0",
    too_wide: "(2147483648,) do not fit '<i'",
    different_calls: "lanes of a warp must come to the same call",
    part_of_the_warp: "the mask of all_sync is always FULL; got 0x1",
    different_puts: "all lanes of a warp put the same",
    beyond_the_heap: "within a heap of 256: got 8 bytes at 256",
}


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize("kernel", REFUSED, ids=lambda kernel: kernel.__name__)
def test_what_a_gpu_would_not_forgive_is_an_error(kernel, weak):
    with pytest.raises(KernelError) as error:
        launch(kernel, weak=weak)
    text = str(error.value)
    before, _, after = REFUSED[kernel].partition("...")
    assert before in text
    assert after in text
    assert "rank 0, block 0, warp 0, lane " in text
    assert f"in {kernel.__name__}" in text
    assert "test_emulated_memory.py:" in text


@pytest.mark.parametrize(
    ("kernel", "topology", "said"),
    [
        (
            to_another_node,
            Topology(2, 1),
            "which is in another node (node 1): only `link` reaches it",
        ),
        (off_the_rail, Topology(1, 2), "a put stays on its rail"),
        (in_another_name, Topology(2, 1), "a block of rank 0 puts in the name of rank 1"),
    ],
)
def test_ranks_reach_one_another_as_machines_do(kernel, topology, said):
    with pytest.raises(KernelError, match=re.escape(said)):
        launch(kernel, topology)


def test_over_nvlink_and_where_the_link_is_a_copy_heaps_are_reached_directly():
    launch(to_another_node, Topology(1, 2))
    launch(to_another_node, Topology(2, 1), link="copying")


# Shared memory


def hand_over(plan):
    """Thread 0 of the block leaves a number for the others; each block has its own array."""
    words = cuda.shared.array(2, np.int64)
    if cuda.threadIdx.x == 0:
        words[0] = cuda.blockIdx.x + 5
        ptx.st_release_cta(ptx.shared_address(words) + 8, 0)
    cuda.syncthreads()
    ptx.red_add_release_cta(ptx.shared_address(words) + 8, words[0])
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        ptx.st_i64(
            plan.table + 8 * cuda.blockIdx.x, ptx.ld_acquire_cta(ptx.shared_address(words) + 8)
        )


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_shared_array_belongs_to_its_block(seed, weak):
    table, _ = launch(hand_over, blocks=3, threads=8, seed=seed, weak=weak)
    assert table[:3].tolist() == [8 * 5, 8 * 6, 8 * 7]


# Views that begin inside a word


def halves(plan):
    at = plan.table + 4 * lane()
    ptx.st_i32(at, ptx.ld_i32(at) + 1)


@pytest.mark.parametrize("weak", [False, True])
def test_tensors_need_not_begin_or_end_with_a_whole_word(weak):
    base = torch.arange(6, dtype=torch.int32)
    launch(halves, tensor=base[1:5], weak=weak)
    assert base.tolist() == [0, 2, 3, 4, 5, 5]


# SMs, clocks, numbers


def where(plan):
    if lane() == 0:
        ptx.st_i64(plan.table + 8 * cuda.blockIdx.x, ptx.smid())


def test_a_block_has_an_sm_for_itself():
    table, _ = launch(where, Topology(1, 2), blocks=4)
    assert table.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    with pytest.raises(InputError, match="20 persistent blocks do not fit on 16 SMs"):
        launch(where, blocks=20, sms_per_rank=16)
    with pytest.raises(InputError, match="fill warps of 4 lanes"):
        launch(where, threads=6)


def sleep(plan):
    began = ptx.globaltimer()
    cuda.nanosleep(5000)
    if lane() == 0:
        ptx.st_i64(plan.table, ptx.globaltimer() - began)


def test_while_all_sleep_the_clock_jumps():
    table, emulated = launch(sleep)
    assert 5000 <= table[0] < 6000
    assert emulated.steps < 100


def no_meeting(plan):
    if cuda.threadIdx.x < 4:
        cuda.syncthreads()
    else:
        while ptx.ld_acquire_sys(plan.table) == 0:
            cuda.nanosleep(64)


def test_a_barrier_that_some_never_reach_is_a_deadlock_that_lists_both_places():
    with pytest.raises(Deadlock) as error:
        launch(no_meeting, threads=8)
    text = str(error.value)
    assert "8 threads have not ended" in text
    assert "waits for its block at test_emulated_memory.py" in text
    assert "polls at test_emulated_memory.py" in text
    assert "rank 0, block 0, warp 1, lane 0 and 3 more" in text


def spins(plan):
    while ptx.ld_relaxed_sys(plan.table) == 0:
        pass


def test_a_spin_without_a_nap_is_found(monkeypatch):
    from dualpipe_ref.comm.transport.emulated import machine

    monkeypatch.setattr(machine, "IDLE_STEPS", 10_000)
    with pytest.raises(Deadlock, match="threads move on and on"):
        launch(spins)


def talk(plan):
    """Lanes that have ended are no longer waited for."""
    if lane() == 3:
        return
    votes = cuda.ballot_sync(FULL, lane() != 1)
    got = cuda.shfl_sync(FULL, lane() + 10, 2)
    if lane() == 0:
        ptx.st_i64(plan.table, votes)
        ptx.st_i64(plan.table + 8, got)
        ptx.st_i64(plan.table + 16, cuda.popc(votes))
        ptx.st_i64(plan.table + 24, ptx.atom_cas_sys(plan.table, 5, 6))
        ptx.st_i64(plan.table + 32, ptx.atom_add_acq_rel_sys(plan.table, -2))


@pytest.mark.parametrize("seed", range(8))
def test_lanes_exchange_values(seed):
    table, _ = launch(talk, seed=seed)
    assert table[:5].tolist() == [4, 12, 2, 5, 6]


def numbers(plan):
    if lane() == 0:
        both = ptx.ld_i64(plan.table)
        low, high = ptx.f32_of_bits(both), ptx.f32_of_bits(both >> 32)
        ptx.st_i32(plan.table + 8, ptx.round_bf16x2(low, high))
        ptx.st_i32(plan.table + 12, ptx.bits_of_f32(low + high))
        ptx.st_f32(plan.table + 16, ptx.ld_f32(plan.table) + ptx.product_f32(low, high))


def test_numbers_are_rounded_as_torch_rounds_them():
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        bits = torch.randint(-(1 << 31), 1 << 31, (2,), generator=generator)
        pair = bits.to(torch.int32).view(torch.float32)
        if pair.isnan().any():
            continue
        table = torch.zeros(8, dtype=torch.int64)
        table.view(torch.float32)[:2] = pair
        launch(numbers, tensor=table)
        assert torch.equal(table.view(torch.bfloat16)[4:6], pair.to(torch.bfloat16))
        expected = torch.stack([pair[0] + pair[1], pair[0] + pair[0] * pair[1]])
        assert torch.equal(table.view(torch.float32)[3:5].isnan(), expected.isnan())
        assert torch.equal(table.view(torch.float32)[3:5].nan_to_num(), expected.nan_to_num())


def python_error(plan):
    return 1 // (ptx.ld_i64(plan.table) + 0)


def test_other_errors_of_a_kernel_say_where_they_came_from():
    with pytest.raises(ZeroDivisionError) as error:
        launch(python_error)
    assert "rank 0, block 0, warp 0, lane" in error.value.__notes__[0]
    assert "in python_error" in error.value.__notes__[0]


def descend(plan):
    """Every thread of every block, some calls deep, before the first of them ends."""
    ptx.red_add_relaxed_sys(plan.table, rank_of(plan) + 1)
    cuda.syncthreads()
    ptx.red_add_relaxed_sys(plan.table + 8, 1)


def test_thousands_of_threads_run_side_by_side():
    table, _ = launch(descend, Topology(1, 2), blocks=64, threads=32)
    assert table[:2].tolist() == [64 * 32 * 3, 2 * 64 * 32]


def test_without_greenlet_a_launch_says_what_to_install():
    code = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from tests.test_transport.test_emulated_memory import launch, where\n"
        "launch(where)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the emulator needs greenlet: pip install 'dualpipe-ref[kernels]'" in done.stderr
