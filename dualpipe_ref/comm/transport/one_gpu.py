"""All ranks on one GPU, as slices of one launch: the whole protocol runs, and no link is used.

What it exercises: kernels, waits, memory order at system scope, results. What it does not: NVLink, RDMA, mapping of
peers' memory. A "put" is a copy within the GPU, so its time says nothing of a link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import copying, gpu
from dualpipe_ref.schedule.errors import InputError, require_int


class OneGpu:
    """A transport with the ranks of a topology on GPU number `device`; see `base.Transport`.

    The blocks of all ranks share `sms` SMs, all of the GPU's if not given, one block on an SM. The last `absent` ranks
    never start their blocks: then waits time out. A launch goes on `stream`, which may be one of a green context; else
    on one of its own. Raises `InputError` where there is no GPU, or too few SMs for a block of each rank.
    """

    lanes = gpu.LANES

    def __init__(
        self,
        topology: Topology,
        device: int = 0,
        *,
        sms: int | None = None,
        absent: int = 0,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        gpu.require_gpu()
        require_int("absent", absent, 0)
        self.topology, self.ranks = topology, range(topology.ranks)
        self.device = torch.device("cuda", device)
        there = torch.cuda.get_device_properties(self.device).multi_processor_count
        self.sms = there if sms is None else require_int("sms", sms, 1)
        if self.sms > there:
            raise InputError(
                "a GPU has no more SMs than it has", f"{self.sms} of {there}", f"{there}"
            )
        gpu.check_blocks(1, topology.ranks, self.sms)
        self.sms_per_rank: int | None = self.sms // topology.ranks
        self.absent, self.stream = absent, stream
        self._heaps: list[Tensor] = []
        self._addresses = torch.zeros(topology.ranks, dtype=torch.int64, device=self.device)

    def heaps(self, size: int) -> list[Tensor]:
        """Make the heaps: [size] uint8, zeroed, one for each rank."""
        if self._heaps:
            raise InputError("heaps are made once", f"a second call with {size} bytes", "one call")
        require_int("size", size, 1)
        self._heaps = [gpu.new_heap(size, self.device) for _ in self.ranks]
        self._addresses.copy_(torch.tensor([heap.data_ptr() for heap in self._heaps]))
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: every rank's heap."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of all heaps. A launch has ended before this begins, and this has before the next one does."""
        for heap in self._heaps:
            heap[first : first + size].zero_()

    def launch(
        self,
        kernel: Callable[..., Any],
        plan: Any,
        *,
        blocks: int,
        threads: int,
        tensors: Sequence[Tensor],
        element: ModuleType | None = None,
    ) -> None:
        """Run `blocks` blocks of each rank and wait until they end; see `base.Transport`."""
        gpu.check_blocks(blocks, self.topology.ranks, self.sms)
        gpu.check_plan(plan, blocks, threads, first_rank=0)
        gpu.check_tensors(tensors, self.device)
        grid = blocks * (self.topology.ranks - self.absent)
        gpu.launch_and_wait(
            kernel,
            plan,
            grid=grid,
            threads=threads,
            link=copying,
            element=element,
            device=self.device,
            stream=self.stream,
        )

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """All ranks are here, and the first of them to give up stops all."""
        return [record]
