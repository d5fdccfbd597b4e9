"""The versions behind `Buffer`, each as one process can run it: what all of them must pass stands in `test_versions`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.reference import SumOrder
from dualpipe_ref.comm.together import Meeting
from dualpipe_ref.comm.transport.emulated import Emulated

from .cases import Case
from .doubles import Threads

PATIENCE = 60


@dataclass(frozen=True)
class Version:
    """`ends` makes what each rank's Buffer is made over, for a case, and the meetings where ranks could wait.

    `order` is that of its sums; `hidden_sizes` and `dtypes` what it takes.
    """

    name: str
    ends: Callable[[Case], tuple[list[Any], list[Meeting]]]
    order: SumOrder
    dtypes: tuple[torch.dtype, ...]
    hidden_sizes: tuple[int, ...]
    # How many generated cases, of at most how many GPUs.
    examples: int
    most_gpus: int


def buffers(version: Version, case: Case) -> tuple[list[Buffer], list[Meeting]]:
    ends, meetings = version.ends(case)
    return [Buffer(case.topology, case.experts, end) for end in ends], meetings


def _naive(case: Case) -> tuple[list[Any], list[Meeting]]:
    threads = Threads(case.topology.ranks)
    return [threads.mover(rank) for rank in range(case.topology.ranks)], []


def _meeting(exchange: Any) -> tuple[list[Any], list[Meeting]]:
    meeting = Meeting(exchange, patience=PATIENCE)
    return [meeting.of(rank) for rank in exchange.ranks], [meeting]


def _sizes(case: Case) -> dict[str, int]:
    """Of the buffers: what the case needs, and room to be told about what does not fit."""
    return {
        "hidden": case.inputs[0].shape[1],
        "most_tokens": max(1, *map(len, case.inputs)),
        "experts_per_token": case.routings[0].experts.shape[1],
    }


def _direct(case: Case) -> tuple[list[Any], list[Meeting]]:
    return _meeting(Direct(Emulated(case.topology), num_sms=1, **_sizes(case)))


def _queues(case: Case) -> tuple[list[Any], list[Meeting]]:
    return _meeting(Queues(Emulated(case.topology), sizes=Sizes(), **_sizes(case)))


NAIVE = Version(
    "naive",
    _naive,
    "flat",
    (torch.float64, torch.float32, torch.bfloat16),
    (1, 2, 5),
    examples=60,
    most_gpus=9,
)
KERNELS = (torch.float32, torch.bfloat16)
VERSIONS = [
    NAIVE,
    Version("direct", _direct, "two levels", KERNELS, (8, 24), examples=40, most_gpus=9),
    Version("queues", _queues, "two levels", KERNELS, (8, 24), examples=25, most_gpus=9),
]
