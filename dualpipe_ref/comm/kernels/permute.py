"""Received rows to the order of their experts, and back with the sums over a row's experts: `comm/permute.py` in kernels.

Nobody waits here. All warps of a rank share its rows; their order comes from the host.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, device, element, ptx
from dualpipe_ref.comm.kernels.moving import block_of, lane, rank_of, warp
from dualpipe_ref.comm.kernels.packing import copy_input, own
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended

# Fields of a rank's row of the table. `RECEIVED` [M, H] and `ORDERED` [P, H] are read in one way and written in the other;
# `SOURCES` [P] and `PLACES` [M, K] int64 say who belongs to whom, -1 for nobody; `WEIGHTS` [P] float32.
RECEIVED, ORDERED, SOURCES, PLACES, WEIGHTS, RECEIVED_HERE, ORDERED_HERE = range(7)


class PermutePlan(NamedTuple):
    """What both kernels are told; `has_weights` is 0 where rows are added as they are. `records`: see `who_ran`."""

    first_rank: int
    blocks: int
    heaps: int
    errors: int
    timeout: int
    tables: int
    fields: int
    nodes: int
    gpus: int
    row_bytes: int
    experts_per_token: int
    has_weights: int
    records: int = 0


def permute(plan):
    """A warp an ordered row: the received row that it is a copy of, or zeros where it fills an expert's block up."""
    write_began(plan)
    rank, size = rank_of(plan), plan.row_bytes
    received, ordered = own(plan, rank, RECEIVED), own(plan, rank, ORDERED)
    sources = own(plan, rank, SOURCES)
    for row in range(first_of(plan), own(plan, rank, ORDERED_HERE), step_of(plan)):
        source = ptx.ld_i64(sources + 8 * row)
        if source >= 0:
            copy_input(ordered + row * size, received + source * size, size)
        else:
            clear(ordered + row * size, size)
    write_ended(plan)


def unpermute(plan):
    """A warp a received row: the sum of its ordered rows, in the order of the experts, each times its weight."""
    write_began(plan)
    rank, size = rank_of(plan), plan.row_bytes
    received, ordered = own(plan, rank, RECEIVED), own(plan, rank, ORDERED)
    places, weights = own(plan, rank, PLACES), own(plan, rank, WEIGHTS)
    for row in range(first_of(plan), own(plan, rank, RECEIVED_HERE), step_of(plan)):
        first = row * plan.experts_per_token
        for at in range(16 * lane(), size, 16 * cuda.warpsize):
            total = element.zero()
            for choice in range(first, first + plan.experts_per_token):
                place = ptx.ld_i64(places + 8 * choice)
                if place >= 0:
                    words = ptx.ld_v4(ordered + place * size + at)
                    if plan.has_weights != 0:
                        weight = ptx.ld_f32(weights + 4 * place)
                        total = element.add_weighted(total, words, weight)
                    else:
                        total = element.add(total, words)
            ptx.st_v4(received + row * size + at, element.rounded(total))
    write_ended(plan)


@device
def first_of(plan):
    """The first row of this warp, among all warps of its rank."""
    return block_of(plan) * (cuda.blockDim.x // cuda.warpsize) + warp()


@device
def step_of(plan):
    """The warps of a rank."""
    return plan.blocks * (cuda.blockDim.x // cuda.warpsize)


@device
def clear(target, size):
    """Zero `size` bytes, a multiple of 16. A warp."""
    nothing = element.rounded(element.zero())
    for at in range(16 * lane(), size, 16 * cuda.warpsize):
        ptx.st_v4(target + at, nothing)
