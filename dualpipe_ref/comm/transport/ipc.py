"""One process a rank on one machine, with heaps that all processes map: CUDA IPC, over NVLink where the GPUs have it.

Processes that share a GPU need NVIDIA's MPS: without it the GPU runs one process at a time, and kernels that wait for one
another move on by whole time slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import copying, gpu
from dualpipe_ref.schedule.errors import InputError, require_int


class Ipc:
    """A transport with this process's rank alone; see `base.Transport`. Made by all ranks together.

    `group`, the default one if not given, has R processes of one machine and moves Python objects (gloo does). All of
    them see the same GPUs in the same order: a mapped heap is known by its GPU's number. Nodes of the topology may be
    simulated: every heap is mapped, whatever the node. Raises `InputError` without a GPU or with another number of ranks.
    """

    lanes = gpu.LANES

    def __init__(
        self,
        topology: Topology,
        device: int | None = None,
        group: torch.distributed.ProcessGroup | None = None,
        *,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        gpu.require_gpu()
        self.topology, self._group = topology, group
        rank = rank_in(group, topology)
        self.ranks = range(rank, rank + 1)
        number = rank % torch.cuda.device_count() if device is None else device
        self.device = torch.device("cuda", number)
        self.stream = stream
        there = torch.cuda.get_device_properties(self.device).multi_processor_count
        self._here = self._gathered(number).count(number)
        self.sms_per_rank: int | None = there // self._here
        self._heaps: list[Tensor] = []
        self._mapped: list[Tensor] = []
        self._addresses = torch.zeros(topology.ranks, dtype=torch.int64, device=self.device)

    def heaps(self, size: int) -> list[Tensor]:
        """Make this rank's heap, [size] uint8, zeroed, and map those of all others."""
        if self._heaps:
            raise InputError("heaps are made once", f"a second call with {size} bytes", "one call")
        require_int("size", size, 1)
        sizes = self._gathered(size)
        if set(sizes) != {size}:
            raise InputError("all ranks make heaps of one size", f"{sizes} bytes", f"{max(sizes)}")
        heap = gpu.new_heap(size, self.device)
        torch.cuda.synchronize(self.device)
        self._heaps, self._mapped = [heap], self._shared(heap)
        self._addresses.copy_(torch.tensor([one.data_ptr() for one in self._mapped]))
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: every rank's heap, as it is mapped here."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of the own heap, between two barriers: no rank writes into it before, none has still to read."""
        torch.distributed.barrier(self._group)
        for heap in self._heaps:
            heap[first : first + size].zero_()
        torch.cuda.synchronize(self.device)
        torch.distributed.barrier(self._group)

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

    def _gathered(self, value: Any) -> list[Any]:
        got = [None] * self.topology.ranks
        torch.distributed.all_gather_object(got, value, group=self._group)
        return got

    def _shared(self, heap: Tensor) -> list[Tensor]:
        """All ranks' heaps, mapped by torch, which passes CUDA's handles along and opens them."""
        from torch.multiprocessing.reductions import reduce_tensor

        handles = self._gathered(reduce_tensor(heap))
        me = self.ranks.start
        return [
            heap if rank == me else rebuild(*arguments)
            for rank, (rebuild, arguments) in enumerate(handles)
        ]


def rank_in(group: torch.distributed.ProcessGroup | None, topology: Topology) -> int:
    """This process's rank; `InputError` unless the group has a process for each rank of the topology."""
    if not torch.distributed.is_initialized():
        raise InputError(
            "processes find one another in a process group",
            "none was made",
            "torch.distributed.init_process_group('gloo')",
        )
    size = torch.distributed.get_world_size(group)
    if size != topology.ranks:
        raise InputError(
            "there is a process for each rank",
            f"{size} processes for {topology.nodes} nodes x {topology.gpus_per_node} GPUs",
            f"{topology.ranks} processes",
        )
    return int(torch.distributed.get_rank(group))
