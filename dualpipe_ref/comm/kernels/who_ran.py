"""Which SM a block runs on, and from when to when: the evidence of a reservation."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, ptx
from dualpipe_ref.comm.kernels.waiting import stay

# Words of a block's record: its SM, and the nanoseconds of the GPU's clock at which it began and ended.
SM, BEGAN, ENDED = range(3)
WORDS = 3


class WhoRanPlan(NamedTuple):
    """`records` is the address of int64 [blocks of the launch][WORDS]; a block stays for `stay` nanoseconds."""

    first_rank: int
    blocks: int
    records: int
    stay: int


def who_ran(plan):
    """Thread 0 of a block writes the block's record. It stays on its SM meanwhile, so that others must find another."""
    if cuda.threadIdx.x == 0:
        at = plan.records + 8 * WORDS * cuda.blockIdx.x
        began = ptx.globaltimer()
        stay(plan.stay)
        ptx.st_i64(at + 8 * SM, ptx.smid())
        ptx.st_i64(at + 8 * BEGAN, began)
        ptx.st_i64(at + 8 * ENDED, ptx.globaltimer())
