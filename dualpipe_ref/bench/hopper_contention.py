"""Section of `bench hopper`: matmuls beside communication that reserves nothing, as a library such as NCCL runs it.

What it is: a grid of as many blocks as SMs are to be used, on a plain stream, beside matmuls that are told nothing, which
take a block for each SM of the GPU. Once with blocks that wait for one another's flags (dispatch with direct slots, 512
threads a block, as many as NCCL's Simple protocol has at most), once with blocks that only copy the same bytes (640 threads,
NCCL's most: NCCL_MAX_NTHREADS in its src/include/device.h). What it is not: NCCL. None of its kernels runs, and no link is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dualpipe_ref.bench.hopper_sections import (
    DEEPSEEK,
    LEAST_MATMULS,
    OVERLAP_GRID,
    PLAIN,
    RESERVED,
    Kept,
    Task,
)
from dualpipe_ref.bench.results import Row
from dualpipe_ref.hopper.arithmetic import repetitions, sm_tax
from dualpipe_ref.hopper.reserve import Half, reserve

if TYPE_CHECKING:
    from dualpipe_ref.hopper.measuring import Machine, Work

COPY_THREADS = 640
# What runs beside lasts so many times as long as what is measured takes alone: it takes longer, too.
OUTLASTS = 3


def contention(machine: Machine, kept: Kept) -> Iterator[Task]:
    """DeepSeek's number of SMs first, also with matmuls that are told; then the others."""
    for blocks in sorted(RESERVED, key=lambda one: one != DEEPSEEK):
        for kind in ("polling", "copying"):
            yield Task(
                f"{kind}, {blocks} blocks",
                lambda kind=kind, blocks=blocks: _beside(machine, kind, blocks),  # type: ignore[misc]
            )


def _beside(machine: Machine, kind: str, blocks: int) -> Iterator[Row]:
    made = machine.exchange("direct", OVERLAP_GRID, blocks // OVERLAP_GRID.ranks)
    with reserve(machine.driver, blocks, PLAIN) as halves:
        if kind == "polling":
            communication, _ = machine.works(made, halves.communication)
            made.spoil("dispatch")
        else:
            size = made.dispatch_traffic.total // 2 // 16 * 16
            communication = machine.copy(halves.communication, blocks, COPY_THREADS, size)
        name, sms = f"hopper.unreserved_{kind}_{blocks}_blocks", machine.driver.gpu.sms
        alone = machine.seconds(communication)
        chain = machine.matmuls(halves.compute, LEAST_MATMULS)
        compute = machine.seconds(chain)
        tax = sm_tax(_taken(machine, chain, communication), compute, sms, blocks)
        yield Row(f"{name}_matmuls", tax.takes, "times as long as without; told nothing")
        yield Row(
            f"{name}_matmuls_beyond",
            tax.beyond,
            f"of the {tax.explained:.4f} that lost SMs explain",
        )
        if blocks == DEEPSEEK:
            told = machine.matmuls(_told(halves.compute, sms - blocks), LEAST_MATMULS)
            took = _taken(machine, told, communication)
            yield Row(f"{name}_told", took / compute, f"times as long; told {sms - blocks} SMs")
        slower = _taken(machine, communication, chain) / alone
        yield Row(f"{name}_communication", slower, "times as long as without matmuls")
    if kind == "polling":
        made.check()


def _taken(machine: Machine, work: Work, beside: Work) -> float:
    """Seconds of a work while another runs all the time, which was there first."""
    count = repetitions(machine.seconds(beside), machine.seconds(work), OUTLASTS)
    return machine.seconds(work, beside=beside.repeated(count))


def _told(half: Half, sms: int) -> Half:
    """The same stream; matmuls on it are told that they have so many SMs."""
    return half._replace(sms=sms)
