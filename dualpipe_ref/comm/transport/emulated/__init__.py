"""The kernels on a CPU: every thread of every rank, in an order that a seed chooses, on memory that is checked.

>>> import torch
>>> from typing import NamedTuple
>>> from dualpipe_ref.comm.kernels.machine import cuda, ptx
>>> from dualpipe_ref.comm.kernels.moving import rank_of
>>> from dualpipe_ref.comm.topology import Topology
>>> class Plan(NamedTuple):
...     first_rank: int
...     blocks: int
...     out: int
>>> def kernel(plan):
...     ptx.st_i64(plan.out + 8 * (rank_of(plan) * cuda.blockDim.x + cuda.threadIdx.x), rank_of(plan))
>>> out = torch.zeros(8, dtype=torch.int64)
>>> Emulated(Topology(1, 2)).launch(kernel, Plan(0, 1, out.data_ptr()), blocks=1, threads=4, tensors=[out])
>>> out.tolist()
[0, 0, 0, 0, 1, 1, 1, 1]
"""

from dualpipe_ref.comm.transport.emulated.coverage import Coverage, Stall
from dualpipe_ref.comm.transport.emulated.regions import KernelError
from dualpipe_ref.comm.transport.emulated.stuck import Deadlock
from dualpipe_ref.comm.transport.emulated.transport import Emulated

__all__ = ["Coverage", "Deadlock", "Emulated", "KernelError", "Stall"]
