"""Every number of the cluster model that is neither arithmetic nor a data sheet's, with its source: rates of kernels.

Nothing here is fitted to a training run. `grade`: "P" is a published number that we did not measure; "D" follows from a published
one by arithmetic; "M" is published, too, and quoted from memory; "A" is an assumption.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import require_positive


class Constant(NamedTuple):
    """One number: what it is, its unit, where it comes from, how sure that is, and whether one kernel was timed for it."""

    name: str
    value: float
    unit: str
    source: str
    grade: str
    kernel_level: bool = True


class MatrixRate(NamedTuple):
    """What a product of (rows x inner) with (inner x outer) reaches, in TFLOP/s, at 4,096 rows or more."""

    outer: int
    inner: int
    tflops: float
    grouped: bool = False


# DeepGEMM's README of its first releases (February 2025), H800 SXM5, all 132 SMs, M = 4096: these are DeepSeek-V3's matrices.
FP8_RATES = (
    MatrixRate(2112, 7168, 1058),
    MatrixRate(24576, 1536, 990),
    MatrixRate(32768, 512, 590),
    MatrixRate(7168, 16384, 1358),
    MatrixRate(4096, 7168, 1304),
    MatrixRate(7168, 2048, 1025),
    MatrixRate(4096, 7168, 1288, grouped=True),
    MatrixRate(7168, 2048, 1093, grouped=True),
)

_DEEPEP = "DeepEP README, H800 with 400 Gb/s: EP64 dispatch 51 GB/s, own node counted; 7/8 of that crosses RDMA"
CONSTANTS = (
    Constant(
        "fp8_products", 1.0, "x table", "DeepGEMM README, H800: 590 to 1358 TFLOP/s by shape", "P"
    ),
    Constant(
        "bf16_products",
        720.0,
        "TFLOP/s",
        "cuBLAS on H100 at the shapes of Llama 70B, SemiAnalysis, December 2024; scaled by peak elsewhere",
        "M",
    ),
    Constant(
        "attention_forward",
        580.0,
        "TFLOP/s",
        "FlashAttention-3, arXiv:2407.08608, figure 5: causal, head 128, 4k to 8k, H100",
        "M",
    ),
    Constant(
        "attention_backward",
        450.0,
        "TFLOP/s",
        "the same, figure 6; 2.5 times the operations of the forward",
        "M",
    ),
    Constant(
        "memory_share",
        2668 / 3350,
        "of peak",
        "DeepGEMM README: the highest bandwidth of its table, 2668 GB/s, of H800's 3350",
        "D",
    ),
    Constant("rdma_share", 51 * 7 / 8 / 50, "of 50 GB/s", _DEEPEP, "D"),
    Constant(
        "sms_of_full_rdma",
        8.0,
        "SMs",
        "HybridEP README, H100, 64 ranks: 4, 8, 16 SMs reach 37.5, 46.6, 46.5 GB/s",
        "P",
    ),
    Constant(
        "nvlink_of_an_sm",
        246 / 16,
        "GB/s",
        "DeepEP V1 on B200, EP8: 246 GB/s with 16 SMs (HybridEP README)",
        "D",
    ),
    Constant(
        "slowed_all_to_all",
        1.0,
        "x",
        "how much longer an all-to-all takes beside computation: 1 is the tables'; DeepSeek's trace shows about 2",
        "A",
        False,
    ),
    Constant(
        "computation_beside",
        1.0,
        "x",
        "how much longer computation takes beside an all-to-all, apart from its fewer SMs: nothing published",
        "A",
        False,
    ),
    Constant(
        "computation",
        1.0,
        "x",
        "how much longer all computation takes than its kernels by themselves: nothing published",
        "A",
        False,
    ),
    Constant(
        "exposed_updates",
        1.0,
        "of its time",
        "how much of summing gradients and gathering parameters nothing hides: nothing published",
        "A",
        False,
    ),
)


def _values() -> dict[str, float]:
    return {one.name: one.value for one in CONSTANTS}


@dataclass(frozen=True)
class Kernels:
    """The constants as a run uses them; `changed` makes another set of them.

    >>> Kernels().changed(bf16_products=800.0)["bf16_products"]
    800.0
    """

    values: Mapping[str, float] = field(default_factory=_values)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def changed(self, **values: float) -> Kernels:
        """Other values of some; `InputError` for a name that there is not, or a number that is not positive."""
        for name, value in values.items():
            if name not in self.values:
                raise InputError(f"constants are {', '.join(self.values)}", repr(name))
            require_positive(name, value)
        return replace(self, values={**self.values, **values})

    def scaled(self, name: str, factor: float) -> Kernels:
        """One of them times a factor."""
        return self.changed(**{name: self.values[name] * factor})


def fp8_rate(outer: int, inner: int, *, grouped: bool = False) -> float:
    """TFLOP/s of the nearest row of DeepGEMM's table: the least |log| of both ratios together.

    >>> fp8_rate(24576, 1536), fp8_rate(7168, 2048, grouped=True), fp8_rate(7000, 16000)
    (990, 1093, 1358)
    """
    rows = [row for row in FP8_RATES if row.grouped == grouped]

    def far(row: MatrixRate) -> float:
        return abs(math.log(outer / row.outer)) + abs(math.log(inner / row.inner))

    return min(rows, key=far).tflops
