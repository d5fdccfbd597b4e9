"""Messages written at their source and read at their last receiver, by a warp each; see `message.Message`.

The plan's `message` is what `Message.parts` gives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import copy, lane


class Inputs(NamedTuple):
    """What a rank sends, in kernels the addresses: tokens [T, row], scales [T, S] float32, experts [T, K] int64, weights [T, K] float32."""

    tokens: Any
    scales: Any
    experts: Any
    weights: Any


class Outputs(NamedTuple):
    """What a rank gets, M rows each; `source` [M, 2] int64 are the rank and the place there."""

    tokens: Any
    scales: Any
    experts: Any
    weights: Any
    source: Any


@device
def own(plan, rank, field):
    """A word of this rank's row of the plan's table: an address or a number that differs between ranks."""
    return ptx.ld_i64(plan.tables + 8 * ((rank - plan.first_rank) * plan.fields + field))


@device
def heap_of(plan, rank):
    """Where a rank's heap lies for this rank; 0 where only the link reaches it."""
    return ptx.ld_i64(plan.heaps + 8 * rank)


@device
def copy_input(target, source, size):
    """As `moving.copy`, for what nobody writes while the kernel runs: loads may take the path of constants."""
    step = 16 * cuda.warpsize
    at = 16 * lane()
    while at + 3 * step < size:
        a = ptx.ld_v4_constant(source + at)
        b = ptx.ld_v4_constant(source + at + step)
        c = ptx.ld_v4_constant(source + at + 2 * step)
        d = ptx.ld_v4_constant(source + at + 3 * step)
        ptx.st_v4(target + at, a)
        ptx.st_v4(target + at + step, b)
        ptx.st_v4(target + at + 2 * step, c)
        ptx.st_v4(target + at + 3 * step, d)
        at += 4 * step
    while at < size:
        ptx.st_v4(target + at, ptx.ld_v4_constant(source + at))
        at += step


@device
def copy_words(target, source, count):
    """`count` words of 4 bytes, where rows of them need not begin at a multiple of 16."""
    for place in range(lane(), count, cuda.warpsize):
        ptx.st_i32(target + 4 * place, ptx.ld_i32(source + 4 * place))


@device
def pack(plan, target, inputs, token):
    """Write all but the meta of a token's message, and word 0 of that: its place. A warp; no lane sees it before a syncwarp."""
    parts = plan.message
    copy_input(target, inputs.tokens + token * parts.row_bytes, parts.row_bytes)
    copy_words(target + parts.scales_at, inputs.scales + 4 * token * parts.scales, parts.scales)
    copy_words(target + parts.weights_at, inputs.weights + 4 * token * parts.weights, parts.weights)
    for place in range(lane(), parts.experts, cuda.warpsize):
        expert = ptx.ld_i64(inputs.experts + 8 * (token * parts.experts + place))
        ptx.st_i32(target + parts.experts_at + 4 * place, expert)
    if lane() == 0:
        ptx.st_i32(target + parts.meta_at, token)


@device
def unpack(plan, source, outputs, row, origin, first_expert):
    """Bring a message that came from rank `origin` to a row of the outputs. A warp, after its wait for the message.

    Experts are numbered from 0 on this rank, which holds `plan.experts_here` from `first_expert` on; where the message
    names another's, the row gets expert -1 and weight 0.
    """
    parts = plan.message
    copy(outputs.tokens + row * parts.row_bytes, source, parts.row_bytes)
    copy_words(outputs.scales + 4 * row * parts.scales, source + parts.scales_at, parts.scales)
    for place in range(lane(), parts.experts, cuda.warpsize):
        expert = ptx.ld_i32(source + parts.experts_at + 4 * place) - first_expert
        weight = ptx.ld_i32(source + parts.weights_at + 4 * place)
        if expert < 0 or expert >= plan.experts_here:
            expert, weight = -1, 0
        at = row * parts.experts + place
        ptx.st_i64(outputs.experts + 8 * at, expert)
        ptx.st_i32(outputs.weights + 4 * at, weight)
    if lane() == 0:
        ptx.st_i64(outputs.source + 16 * row, origin)
        ptx.st_i64(outputs.source + 16 * row + 8, ptx.ld_i32(source + parts.meta_at))
