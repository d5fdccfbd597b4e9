"""One process a rank on one machine, with heaps that all processes map: CUDA IPC, over NVLink where the GPUs have it.

Processes that share a GPU need NVIDIA's MPS: without it the GPU runs one process at a time, and kernels that wait for one
another move on by whole time slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import copying, gpu
from dualpipe_ref.comm.transport.processes import SECONDS, Processes
from dualpipe_ref.schedule.errors import InputError, require_int


class Ipc:
    """A transport with this process's rank alone; see `base.Transport`. Made by all ranks together.

    `group`, the default one if not given, has R processes of one machine and moves CPU tensors (gloo does). All of
    them see the same GPUs in the same order: a mapped heap is known by its GPU's number. Nodes of the topology may be
    simulated: every heap is mapped, whatever the node. Between launches processes wait for one another up to `seconds`,
    and raise `CommTimeout` if one does not come or has ended. Raises `InputError` without a GPU, with another number of
    ranks, and, on all ranks, where they see different GPUs or want heaps of different sizes.
    """

    lanes = gpu.LANES

    def __init__(
        self,
        topology: Topology,
        device: int | None = None,
        group: ProcessGroup | None = None,
        *,
        stream: torch.cuda.Stream | None = None,
        seconds: float = SECONDS,
    ) -> None:
        gpu.require_gpu()
        self.topology, self._processes = topology, Processes(group, topology, seconds)
        rank = self._processes.rank
        self.ranks = range(rank, rank + 1)
        self._processes.agree("list of GPUs that it sees", gpu.visible())
        number = rank % torch.cuda.device_count() if device is None else device
        self.device = torch.device("cuda", number)
        self.stream = stream
        there = torch.cuda.get_device_properties(self.device).multi_processor_count
        self._here = self._processes.gathered(number).count(number)
        self.sms_per_rank: int | None = there // self._here
        self._heaps: list[Tensor] = []
        self._mapped: list[Tensor] = []
        self._addresses = torch.zeros(topology.ranks, dtype=torch.int64, device=self.device)

    def heaps(self, size: int) -> list[Tensor]:
        """Make this rank's heap, [size] uint8, zeroed, and map those of all others."""
        if self._heaps:
            raise InputError("heaps are made once", f"a second call with {size} bytes", "one call")
        require_int("size", size, 1)
        self._processes.agree("size of heaps in bytes", size)
        heap = gpu.new_heap(size, self.device)
        torch.cuda.synchronize(self.device)
        self._heaps, self._mapped = [heap], self._shared(heap)
        self._addresses.copy_(torch.tensor([one.data_ptr() for one in self._mapped]))
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: every rank's heap, as it is mapped here."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of the own heap, between two meetings of all: no rank writes into it before, none has still to read."""
        self._processes.meet()
        for heap in self._heaps:
            heap[first : first + size].zero_()
        torch.cuda.synchronize(self.device)
        self._processes.meet()

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
        """Run `blocks` blocks of this rank and wait until they end; see `base.Transport`."""
        gpu.check_blocks(blocks, 1, self.sms_per_rank or 0)
        gpu.check_plan(plan, blocks, threads, first_rank=self.ranks.start)
        gpu.check_tensors(tensors, self.device)
        self._processes.launched()
        gpu.launch_and_wait(
            kernel,
            plan,
            grid=blocks,
            threads=threads,
            link=copying,
            element=element,
            device=self.device,
            stream=self.stream,
        )

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """The own record, and those of others that gave up within a few seconds of this."""
        return self._processes.who_gave_up(record)

    def _shared(self, heap: Tensor) -> list[Tensor]:
        """All ranks' heaps, mapped by torch, which passes CUDA's handles along and opens them."""
        from torch.multiprocessing.reductions import reduce_tensor

        handles = self._processes.gathered(reduce_tensor(heap))
        me = self.ranks.start
        return [
            heap if rank == me else rebuild(*arguments)
            for rank, (rebuild, arguments) in enumerate(handles)
        ]
