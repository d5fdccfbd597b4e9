"""Sums of rows in float32 in a fixed order, by a warp; rounded once. Used inside a node and again at home."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, element, ptx
from dualpipe_ref.comm.kernels.moving import lane


@device
def add_rows(target, address, count, size):
    """Write the sum of up to `count` rows of `size` bytes, in the order of lanes: lane i holds row i's address, or 0 for none.

    Every lane goes through every turn, because they hand one another the addresses. Two vectors of a row are on their way
    at once: with four, the queues' combine has not registers enough. Without any row the sum is zeros.
    """
    step = 16 * cuda.warpsize
    at = 16 * lane()
    base = 0
    while base < size:
        after = at + step
        if after >= size:
            after = at  # loaded twice, stored once
        a = element.zero()
        b = element.zero()
        place = 0
        while place < count:  # a range would take two registers more
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0 and at < size:
                first = ptx.ld_v4(row + at)
                second = ptx.ld_v4(row + after)
                a = element.add(a, first)
                b = element.add(b, second)
            place += 1
        if at < size:
            ptx.st_v4(target + at, element.rounded(a))
        if after > at:
            ptx.st_v4(target + after, element.rounded(b))
        at += 2 * step
        base += 2 * step


@device
def add_weights(target, address, count, weights):
    """The same for `weights` float32 words a row, without rounding: lane i holds the address of row i's words, or 0."""
    base = 0
    while base < weights:
        at = base + lane()
        total = ptx.f32_of_bits(0)
        place = 0
        while place < count:
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0 and at < weights:
                total = total + ptx.ld_f32(row + 4 * at)
            place += 1
        if at < weights:
            ptx.st_f32(target + 4 * at, total)
        base += cuda.warpsize
