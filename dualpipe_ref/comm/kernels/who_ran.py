"""Which SM a block runs on, and from when to when, as its warps write it down: the evidence of a reservation.

Every kernel that communicates can write it, where its plan has an address for it; `who_ran` does nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.waiting import stay

# The first words of a warp's record: its SM, and the nanoseconds of the GPU's clock at which it began and ended. A record
# has a word for each lane, so that its place follows from a thread's number without a division.
SM, BEGAN, ENDED = range(3)
WORDS = 3


class WhoRanPlan(NamedTuple):
    """`records` is the address of int64 [blocks of the launch][warps of a block][lanes]; thread 0 of a block stays for
    `stay` nanoseconds."""

    first_rank: int
    blocks: int
    records: int
    stay: int


def who_ran(plan):
    """Thread 0 keeps the block on its SM for a while, so that others must find another."""
    write_began(plan)
    if cuda.threadIdx.x == 0:
        stay(plan.stay)
    write_ended(plan)


@device
def write_began(plan):
    """A warp that begins: lane 0 writes where and when, if the plan has `records`; else its address is 0."""
    if plan.records != 0 and lane() == 0:
        record = record_of(plan)
        ptx.st_i64(record + 8 * SM, ptx.smid())
        ptx.st_i64(record + 8 * BEGAN, ptx.globaltimer())


@device
def write_ended(plan):
    """The same warp when its role has ended. A block's roles end one by one, and none waits for the others here."""
    if plan.records != 0 and lane() == 0:
        ptx.st_i64(record_of(plan) + 8 * ENDED, ptx.globaltimer())


@device
def record_of(plan):
    """The address of a warp's record, for lane 0. Computed twice: whoever held it meanwhile would take two registers."""
    return plan.records + 8 * (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
