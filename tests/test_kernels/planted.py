"""Kernels with one fault each, and the words by which the rules name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualpipe_ref.comm.kernels.assembly import fence, load, store
from dualpipe_ref.comm.kernels.machine import cuda, ptx
from dualpipe_ref.comm.kernels.moving import copy, lane
from dualpipe_ref.comm.kernels.waiting import TAIL, Who, wait

st_release_gpu = store("st.release.gpu.global.b64 [$0], $1;")
ld_acquire_gpu = load("ld.acquire.gpu.global.b64 $0, [$1];")
named_barrier = fence("bar.sync 1, 32;")

FAULTS: list[tuple[Callable[..., Any], str]] = []


def fault(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(kernel: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append((kernel, words))
        return kernel

    return keep


@fault("ld.acquire.sys.global.b64 (planted.plain_spin): turns without a look at the clock")
def plain_spin(plan):
    while ptx.ld_acquire_sys(plan.at) < plan.number:
        pass


@fault("ld.global.b64 (planted.spin_on_data): turns without a look at the clock")
def spin_on_data(plan):
    while ptx.ld_i64(plan.at) < plan.number:
        cuda.nanosleep(64)


@fault("atom.acq_rel.sys.global.cas.b64 (planted.lock): turns without a look at the clock")
def lock(plan):
    while ptx.atom_cas_sys(plan.at, 0, 1) != 0:
        cuda.nanosleep(64)


@fault("turns without a look at the clock")
def spin_inside_a_loop_that_waits(plan):
    for place in range(plan.number):
        if wait(plan, plan.at + 8 * place, 1, 0, Who(0, 0, 0, 0, TAIL)):
            while ptx.ld_relaxed_sys(plan.heaps) == place:
                cuda.nanosleep(64)


@fault("turns without a look at the clock")
def one_lane_looks_at_the_clock(plan):
    began = ptx.globaltimer()
    while ptx.ld_acquire_sys(plan.at) < plan.number:
        if lane() == 0 and ptx.globaltimer() - began > plan.timeout:
            return


@fault("turns without a look at the clock")
def the_clock_decides_nothing(plan):
    while ptx.ld_acquire_sys(plan.at) < plan.number:
        ptx.st_i64(plan.heaps, ptx.globaltimer())


@fault("a loop that nothing ends")
def numba_reads_it_once(plan):
    flag = cuda.shared.array(1, np.int64)
    while flag[0] == 0:
        pass


@fault("a loop that nothing ends")
def ldcv_is_no_volatile(plan):
    flag = cuda.shared.array(1, np.int64)
    while cuda.ldcv(flag, 0) == 0:
        cuda.nanosleep(64)


@fault("ld.global.cv.b64 (planted.ldcv_is_foreign) is no instruction of kernels/ptx.py")
def ldcv_is_foreign(plan):
    flag = cuda.shared.array(1, np.int64)
    ptx.st_i64(plan.at, cuda.ldcv(flag, 0))


@fault("a scope that other GPUs do not see")
def release_for_one_gpu(plan):
    st_release_gpu(plan.at, 1)


@fault("a scope that other GPUs do not see")
def acquire_for_one_gpu(plan):
    ptx.st_i64(plan.at, ld_acquire_gpu(plan.number))


@fault("block scope, and the address is not in shared memory")
def release_for_one_block(plan):
    ptx.st_release_cta(plan.at, 1)


@fault("a barrier with a number")
def barrier_with_a_number(plan):
    named_barrier()


@fault("is no instruction of kernels/ptx.py")
def fence_of_numba(plan):
    cuda.threadfence()


@fault("is no instruction of kernels/ptx.py")
def atomic_of_numba(plan):
    cuda.atomic.add(cuda.shared.array(1, np.int64), 0, 1)


@fault("st.global.b32 (planted.copy_by_words): a copy by words")
def copy_by_words(plan):
    for place in range(lane(), plan.number, cuda.warpsize):
        ptx.st_i32(plan.heaps + 4 * place, ptx.ld_i32(plan.at + 4 * place))


@fault("a copy by words")
def copy_by_long_words(plan):
    copy(plan.heaps, plan.at, plan.number)
    ptx.st_i64(plan.heaps, ptx.ld_i64(plan.at))


def many_values(plan):
    """Sound, but held to few registers it spills."""
    a = ptx.ld_v4(plan.at)
    b = ptx.ld_v4(plan.at + 16)
    c = ptx.ld_v4(plan.at + 32)
    d = ptx.ld_v4(plan.at + 48)
    e = ptx.ld_v4(plan.at + 64)
    f = ptx.ld_v4(plan.at + 80)
    g = ptx.ld_v4(plan.at + 96)
    h = ptx.ld_v4(plan.at + 112)
    ptx.st_v4(plan.number, h)
    ptx.st_v4(plan.number + 16, g)
    ptx.st_v4(plan.number + 32, f)
    ptx.st_v4(plan.number + 48, e)
    ptx.st_v4(plan.number + 64, d)
    ptx.st_v4(plan.number + 80, c)
    ptx.st_v4(plan.number + 96, b)
    ptx.st_v4(plan.number + 112, a)
