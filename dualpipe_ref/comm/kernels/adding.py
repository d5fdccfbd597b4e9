"""Sums of rows in float32 in a fixed order, by a warp; rounded once. Used inside a node and again at home."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, element, ptx
from dualpipe_ref.comm.kernels.moving import lane


@device
def add_rows(target, address, count, size):
    """Write the sum of up to `count` rows of `size` bytes, in the order of lanes: lane i holds row i's address, or 0 for none.

    Every lane goes through every turn, because they hand one another the addresses. Four vectors of a row are on their
    way at once; without any row the sum is zeros.
    """
    step = 16 * cuda.warpsize
    base = 0
    while base + 4 * step <= size:
        at = base + 16 * lane()
        a = element.zero()
        b = element.zero()
        c = element.zero()
        d = element.zero()
        for place in range(count):
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0:
                first = ptx.ld_v4(row + at)
                second = ptx.ld_v4(row + at + step)
                third = ptx.ld_v4(row + at + 2 * step)
                fourth = ptx.ld_v4(row + at + 3 * step)
                a = element.add(a, first)
                b = element.add(b, second)
                c = element.add(c, third)
                d = element.add(d, fourth)
        ptx.st_v4(target + at, element.rounded(a))
        ptx.st_v4(target + at + step, element.rounded(b))
        ptx.st_v4(target + at + 2 * step, element.rounded(c))
        ptx.st_v4(target + at + 3 * step, element.rounded(d))
        base += 4 * step
    while base < size:
        at = base + 16 * lane()
        total = element.zero()
        for place in range(count):
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0 and at < size:
                total = element.add(total, ptx.ld_v4(row + at))
        if at < size:
            ptx.st_v4(target + at, element.rounded(total))
        base += step


@device
def add_weights(target, address, count, weights):
    """The same for `weights` float32 words a row, without rounding: lane i holds the address of row i's words, or 0."""
    base = 0
    while base < weights:
        at = base + lane()
        total = ptx.f32_of_bits(0)
        for place in range(count):
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0 and at < weights:
                total = total + ptx.ld_f32(row + 4 * at)
        if at < weights:
            ptx.st_f32(target + 4 * at, total)
        base += cuda.warpsize
