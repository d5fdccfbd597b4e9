"""Copies of whole rows by a warp, 16 bytes a lane at a time, several in flight."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx


@device
def lane():
    """This thread's place in its warp."""
    return cuda.threadIdx.x % cuda.warpsize


@device
def warp():
    """This warp's place in its block."""
    return cuda.threadIdx.x // cuda.warpsize


@device
def copy(target, source, size):
    """`size` bytes from address to address by the lanes of a warp; all three are multiples of 16.

    Loads come before stores in the text, because volatile assembly keeps its order: so four of them are on their way at once.
    """
    step = 16 * cuda.warpsize
    at = 16 * lane()
    while at + 3 * step < size:
        a = ptx.ld_v4(source + at)
        b = ptx.ld_v4(source + at + step)
        c = ptx.ld_v4(source + at + 2 * step)
        d = ptx.ld_v4(source + at + 3 * step)
        ptx.st_v4(target + at, a)
        ptx.st_v4(target + at + step, b)
        ptx.st_v4(target + at + 2 * step, c)
        ptx.st_v4(target + at + 3 * step, d)
        at += 4 * step
    while at < size:
        ptx.st_v4(target + at, ptx.ld_v4(source + at))
        at += step


@device
def rank_of(plan):
    """The rank that this block works for: a launch may hold several ranks, `plan.blocks` blocks each."""
    return plan.first_rank + cuda.blockIdx.x // plan.blocks


@device
def block_of(plan):
    """This block's place among the blocks of its rank."""
    return cuda.blockIdx.x % plan.blocks
