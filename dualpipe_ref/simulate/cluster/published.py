"""Training runs whose throughput is published, as plans, with the numbers that they are held against.

`grade` as in `constants`: "P" read in the source or in a copy of it, "M" from memory.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, shortened
from dualpipe_ref.simulate.cluster import overlapped
from dualpipe_ref.simulate.cluster.device import DEVICES
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.step import Step
from dualpipe_ref.simulate.deployment import Precision
from dualpipe_ref.simulate.shapes import LLAMA_405B, QWEN3_235B

MIXED = Precision(parameters=2, gradients=4, moments=4, master=4)  # bf16 with float32 states


class Published(NamedTuple):
    """One number of a run: its name, its value, the attribute of `Step` that predicts it, and where it stands."""

    name: str
    value: float
    unit: str
    predicts: str
    source: str
    grade: str = "P"

    def predicted(self, step: Step) -> float:
        """The same, by the planner."""
        found: float = getattr(step, self.predicts)
        return found


class Run(NamedTuple):
    """A plan and what is published about it."""

    plan: Plan
    published: tuple[Published, ...]
    unknown: str  # what the source does not say, and what the plan has there


_LLAMA = Plan(
    shape=LLAMA_405B,
    device=DEVICES["H100"],
    gpus=8192,
    pipeline=16,
    tensor=8,
    expert_ranks=1,
    sequences=2048,
    length=8192,
    schedule="interleaved",
    chunks=8,
    precision="bf16",
    stored=MIXED,
    policy="none",
    predicting=False,
    node_limit=None,
    zero=2,
)
_QWEN = Plan(
    shape=QWEN3_235B,
    device=DEVICES["H100"],
    gpus=256,
    pipeline=8,
    tensor=2,
    expert_ranks=32,
    sequences=2048,
    schedule="interleaved",
    chunks=4,
    precision="bf16",
    stored=MIXED,
    policy="norms",
    predicting=False,
    node_limit=None,
)
_TABLE_4 = "The Llama 3 Herd of Models, arXiv:2407.21783, table 4"
_ZOO = "Megatron MoE Model Zoo, best_practice/Qwen3/readme.md (c1ad0b5)"
_STAGES = "stages a rank (8 here, one layer each), which communication of tensor-parallel ranks is hidden (none here), and how attention counts in its TFLOP/s (causal here)"
_ROUTING = "SMs of DeepEP (20 here), and whether routing was forced to be even (here it is)"
RUNS = {
    "deepseek-v3": Run(
        Plan(),
        (
            Published(
                "H800 hours per trillion tokens",
                180_000,
                "h",
                "hours_per_trillion",
                "DeepSeek-V3 report, arXiv:2412.19437, section 1",
            ),
        ),
        "layers of each stage, what hides the sums of gradients (nothing here), and what restarts cost",
    ),
    "llama-3-405b": Run(
        _LLAMA, (Published("TFLOP/s of a GPU", 430, "TFLOP/s", "model_tflops", _TABLE_4),), _STAGES
    ),
    "llama-3-405b-16k": Run(
        replace(_LLAMA, gpus=16384),
        (Published("TFLOP/s of a GPU", 400, "TFLOP/s", "model_tflops", _TABLE_4),),
        _STAGES,
    ),
    "qwen3-235b": Run(_QWEN, (Published("step", 19.7, "s", "seconds", _ZOO),), _ROUTING),
    "qwen3-235b-overlapped": Run(
        replace(_QWEN, schedule=overlapped.NAME),
        (Published("step", 17.6, "s", "seconds", _ZOO + ", +1f1b overlap"),),
        _ROUTING,
    ),
}


def find_run(name: str) -> Run:
    """A published run by its name.

    >>> find_run("deepseek-v3").published[0].value
    180000
    """
    if name in RUNS:
        return RUNS[name]
    nearest = (get_close_matches(name.lower(), RUNS, n=1, cutoff=0) or ["deepseek-v3"])[0]
    raise InputError(f"runs are {', '.join(RUNS)}", shortened(name), repr(nearest))


class ZeroBubble(NamedTuple):
    """A row of the zero-bubble paper: profiled times in ms, and what it publishes for some numbers of micro-batches.

    `rates` are bubble rates of 1F1B and ZB-H1, `samples` a GPU and second of 1F1B and ZB-1p, which equals ZB-H1 in its limits.
    """

    model: str
    ranks: int
    times: tuple[float, float, float, float]  # F, I (the paper's B), W, a message
    rates: dict[int, tuple[float, float]]
    samples: dict[int, tuple[float, float]]


# Qi et al., arXiv:2401.10241, tables 4 to 6 (bubble rates, throughput, profiled times), all quoted from memory: grade M.
ZERO_BUBBLE = (
    ZeroBubble(
        "1.5B",
        8,
        (18.522, 18.086, 9.337, 0.601),
        {24: (0.2431, 0.1585), 32: (0.1985, 0.1242), 64: (0.1240, 0.0674)},
        {24: (11.8, 12.9), 32: (12.5, 13.4), 64: (13.6, 14.2)},
    ),
    ZeroBubble(
        "6.2B",
        8,
        (29.718, 29.444, 19.927, 0.527),
        {24: (0.2347, 0.1323), 32: (0.1898, 0.1045), 64: (0.1091, 0.0554)},
        {24: (3.50, 3.88), 32: (3.70, 4.00), 64: (4.03, 4.20)},
    ),
    ZeroBubble(
        "14.6B",
        16,
        (11.347, 11.248, 8.132, 0.377),
        {48: (0.2552, 0.1397), 64: (0.2082, 0.1088), 128: (0.1251, 0.0576)},
        {48: (1.40, 1.61), 64: (1.51, 1.67), 128: (1.64, 1.76)},
    ),
    ZeroBubble(
        "28.3B",
        32,
        (10.419, 10.204, 7.675, 0.408),
        {96: (0.2646, 0.1421), 128: (0.2168, 0.1106), 256: (0.1352, 0.0594)},
        {96: (0.76, 0.87), 128: (0.80, 0.90), 256: (0.88, 0.96)},
    ),
)
