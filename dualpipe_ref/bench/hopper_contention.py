"""Section of `bench hopper`: matmuls beside communication that reserves nothing, as a library such as NCCL runs it.

What it is: a grid of as many blocks as SMs are to be used, on a plain stream, beside matmuls that are told nothing, which
take a block for each SM of the GPU. Once with blocks that wait for one another's flags (dispatch with direct slots, 512
threads a block, as many as NCCL's Simple protocol has at most), once with blocks that only copy the same bytes (640 threads,
NCCL's most: NCCL_MAX_NTHREADS in its src/include/device.h). What it is not: NCCL. None of its kernels runs, no link is used;
and the stream goes before that of the matmuls, and the grid is launched as one whose blocks must all find a place at once.
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
from dualpipe_ref.hopper.reserve import Reservation, reserve

if TYPE_CHECKING:
    from dualpipe_ref.hopper.measuring import Machine, Work

COPY_THREADS = 640
# What runs beside lasts so many times as long as what is measured takes alone: it takes longer, too.
OUTLASTS = 3


def contention(machine: Machine, kept: Kept) -> Iterator[Task]:
    """DeepSeek's number of SMs first, also with matmuls that are told; then the others."""
    for blocks in sorted(RESERVED, key=lambda one: one != DEEPSEEK):
        yield Task(f"{blocks} blocks", lambda blocks=blocks: _contended(machine, blocks))  # type: ignore[misc]


def _contended(machine: Machine, blocks: int) -> Iterator[Row]:
    made = machine.exchange("direct", OVERLAP_GRID, blocks // OVERLAP_GRID.ranks)
    with reserve(machine.driver, blocks, PLAIN) as halves:
        dispatch, _ = machine.works(made, halves.communication)
        made.spoil("dispatch")
        yield from _beside(machine, dispatch, halves, f"hopper.unreserved_polling_{blocks}_blocks")
        made.check()
        size = made.dispatch_traffic.total // 2 // 16 * 16
        copy = machine.copy(halves.communication, blocks, COPY_THREADS, size)
        yield from _beside(machine, copy, halves, f"hopper.unreserved_copying_{blocks}_blocks")


def _beside(machine: Machine, communication: Work, halves: Reservation, name: str) -> Iterator[Row]:
    """What each of the two takes while the other runs all the time, which was there first."""
    sms, blocks = machine.driver.gpu.sms, halves.given.asked
    chain = machine.matmuls(halves.compute, LEAST_MATMULS)
    alone, compute = machine.seconds(communication), machine.seconds(chain)
    many = communication.repeated(repetitions(alone, compute, OUTLASTS))
    tax = sm_tax(machine.seconds(chain, beside=many), compute, sms, blocks)
    beyond = f"of the {tax.explained:.4f} that lost SMs explain"
    yield Row(f"{name}_matmuls", tax.takes, "times as long as without; told nothing")
    yield Row(f"{name}_matmuls_beyond", tax.beyond, beyond)
    if blocks == DEEPSEEK:
        told = machine.matmuls(halves.compute._replace(sms=sms - blocks), LEAST_MATMULS)
        took = machine.seconds(told, beside=many)
        yield Row(f"{name}_told", took / compute, f"times as long; told {sms - blocks} SMs")
    many = chain.repeated(repetitions(compute, alone, OUTLASTS))
    slower = machine.seconds(communication, beside=many) / alone
    yield Row(f"{name}_communication", slower, "times as long as without matmuls")
