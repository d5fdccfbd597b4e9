"""The element of tokens in bfloat16: 16 bytes hold 8 numbers, two in each int32, the first in the low half.

A bfloat16 is the upper half of a float32: so it is widened by a shift, without a loss.
"""

from __future__ import annotations

import numpy as np

from dualpipe_ref.comm.kernels.machine import device, ptx

ZERO = np.float32(0)
HIGH = -65536  # the upper 16 bits


@device
def zero():
    """The sum of nothing: 8 float32."""
    return (ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


@device
def add(total, words):
    """The sum plus the numbers in 4 int32, each added in float32."""
    return (
        total[0] + ptx.f32_of_bits(words[0] << 16),
        total[1] + ptx.f32_of_bits(words[0] & HIGH),
        total[2] + ptx.f32_of_bits(words[1] << 16),
        total[3] + ptx.f32_of_bits(words[1] & HIGH),
        total[4] + ptx.f32_of_bits(words[2] << 16),
        total[5] + ptx.f32_of_bits(words[2] & HIGH),
        total[6] + ptx.f32_of_bits(words[3] << 16),
        total[7] + ptx.f32_of_bits(words[3] & HIGH),
    )


@device
def add_weighted(total, words, weight):
    """The sum plus `weight` times the numbers, each product rounded to float32 before it is added."""
    return (
        total[0] + ptx.product_f32(weight, ptx.f32_of_bits(words[0] << 16)),
        total[1] + ptx.product_f32(weight, ptx.f32_of_bits(words[0] & HIGH)),
        total[2] + ptx.product_f32(weight, ptx.f32_of_bits(words[1] << 16)),
        total[3] + ptx.product_f32(weight, ptx.f32_of_bits(words[1] & HIGH)),
        total[4] + ptx.product_f32(weight, ptx.f32_of_bits(words[2] << 16)),
        total[5] + ptx.product_f32(weight, ptx.f32_of_bits(words[2] & HIGH)),
        total[6] + ptx.product_f32(weight, ptx.f32_of_bits(words[3] << 16)),
        total[7] + ptx.product_f32(weight, ptx.f32_of_bits(words[3] & HIGH)),
    )


@device
def rounded(total):
    """The sum as 4 int32, each number rounded once to the nearest bfloat16, ties to even."""
    return (
        ptx.round_bf16x2(total[0], total[1]),
        ptx.round_bf16x2(total[2], total[3]),
        ptx.round_bf16x2(total[4], total[5]),
        ptx.round_bf16x2(total[6], total[7]),
    )
