"""A copy and nothing else: the yardstick by which the kernels of dispatch and combine are measured."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, ptx


class PlainCopyPlan(NamedTuple):
    """`size` bytes, a multiple of 16, from address `source` to `target`, both multiples of 16."""

    first_rank: int
    blocks: int
    source: int
    target: int
    size: int


def plain_copy(plan):
    """All threads of all blocks share the bytes, 16 in a piece; each has eight pieces on their way at once."""
    step = 16 * cuda.blockDim.x * plan.blocks
    at = 16 * (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    source, target = plan.source, plan.target
    while at + 7 * step < plan.size:
        a = ptx.ld_v4(source + at)
        b = ptx.ld_v4(source + at + step)
        c = ptx.ld_v4(source + at + 2 * step)
        d = ptx.ld_v4(source + at + 3 * step)
        e = ptx.ld_v4(source + at + 4 * step)
        f = ptx.ld_v4(source + at + 5 * step)
        g = ptx.ld_v4(source + at + 6 * step)
        h = ptx.ld_v4(source + at + 7 * step)
        ptx.st_v4(target + at, a)
        ptx.st_v4(target + at + step, b)
        ptx.st_v4(target + at + 2 * step, c)
        ptx.st_v4(target + at + 3 * step, d)
        ptx.st_v4(target + at + 4 * step, e)
        ptx.st_v4(target + at + 5 * step, f)
        ptx.st_v4(target + at + 6 * step, g)
        ptx.st_v4(target + at + 7 * step, h)
        at += 8 * step
    while at < plan.size:
        ptx.st_v4(target + at, ptx.ld_v4(source + at))
        at += step
