"""The element of tokens in float32: 16 bytes hold 4 numbers."""

from __future__ import annotations

import numpy as np

from dualpipe_ref.comm.kernels.machine import device, ptx

ZERO = np.float32(0)


@device
def zero():
    """The sum of nothing: 4 float32."""
    return (ZERO, ZERO, ZERO, ZERO)


@device
def add(total, words):
    """The sum plus the numbers in 4 int32, each added in float32."""
    return (
        total[0] + ptx.f32_of_bits(words[0]),
        total[1] + ptx.f32_of_bits(words[1]),
        total[2] + ptx.f32_of_bits(words[2]),
        total[3] + ptx.f32_of_bits(words[3]),
    )


@device
def add_weighted(total, words, weight):
    """The sum plus `weight` times the numbers, each product rounded to float32 before it is added."""
    return (
        total[0] + ptx.product_f32(weight, ptx.f32_of_bits(words[0])),
        total[1] + ptx.product_f32(weight, ptx.f32_of_bits(words[1])),
        total[2] + ptx.product_f32(weight, ptx.f32_of_bits(words[2])),
        total[3] + ptx.product_f32(weight, ptx.f32_of_bits(words[3])),
    )


@device
def rounded(total):
    """The sum as 4 int32: float32 needs no rounding."""
    return (
        ptx.bits_of_f32(total[0]),
        ptx.bits_of_f32(total[1]),
        ptx.bits_of_f32(total[2]),
        ptx.bits_of_f32(total[3]),
    )
