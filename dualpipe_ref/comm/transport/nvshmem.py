"""One process a GPU, on one node or several, with NVSHMEM's symmetric heap: puts over RDMA between nodes, mapped heaps inside.

Not run by us: it takes two nodes. What was done without a GPU is in `tests/test_kernels/test_nvshmem.py`: every kernel is compiled
with this link and linked with NVSHMEM's device library.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.kernels.compiled import jitted
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu
from dualpipe_ref.comm.transport.ipc import rank_in
from dualpipe_ref.schedule.errors import InputError, require_int

INSTALL = "pip install -e '.[nvshmem]' -c constraints/nvshmem.txt"


class Nvshmem:
    """A transport with this process's rank alone, PE number = rank; see `base.Transport`. Made by all ranks together.

    `group`, the default one if not given, has R processes and moves Python objects; NVSHMEM starts with what it carries.
    Processes of a node follow one another, L of them. Raises `InputError` without a GPU, without nvshmem4py, or with another
    number of processes.
    """

    lanes = gpu.LANES

    def __init__(
        self,
        topology: Topology,
        group: torch.distributed.ProcessGroup | None = None,
    ) -> None:
        gpu.require_gpu()
        require_nvshmem()
        self.topology, self._group = topology, group
        rank = rank_in(group, topology)
        self.ranks = range(rank, rank + 1)
        number = topology.local_of(rank) % torch.cuda.device_count()
        self.device = torch.device("cuda", number)
        torch.cuda.set_device(self.device)
        there = torch.cuda.get_device_properties(self.device).multi_processor_count
        self.sms_per_rank: int | None = there
        self._nvshmem = self._begun(rank)
        self._heaps: list[Tensor] = []
        self._addresses = torch.zeros(topology.ranks, dtype=torch.int64, device=self.device)

    def heaps(self, size: int) -> list[Tensor]:
        """Make this rank's part of the symmetric heap: [size] uint8, zeroed."""
        if self._heaps:
            raise InputError("heaps are made once", f"a second call with {size} bytes", "one call")
        require_int("size", size, 1)
        heap = self._nvshmem.interop.torch.bytetensor((size,), dtype=torch.uint8)
        heap.zero_()
        torch.cuda.synchronize(self.device)
        self._heaps = [heap]
        self._addresses.copy_(
            torch.tensor([self._address(peer) for peer in range(self.topology.ranks)])
        )
        torch.distributed.barrier(self._group)
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: the own heap and those of the own node; 0 for ranks that only the link reaches."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of the own heap, between two barriers. The first waits for what is on its way to it, too."""
        stream = torch.cuda.current_stream(self.device)
        self._nvshmem.barrier_all(stream=stream)
        for heap in self._heaps:
            heap[first : first + size].zero_()
        self._nvshmem.barrier_all(stream=stream)
        torch.cuda.synchronize(self.device)

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
        """Run `blocks` blocks of this rank and wait until they end; see `base.Transport`.

        Numba launches it, because nvshmem4py tells NVSHMEM's device library of each module as Numba loads it.
        """
        gpu.check_blocks(blocks, 1, self.sms_per_rank or 0)
        gpu.check_plan(plan, blocks, threads, first_rank=self.ranks.start)
        gpu.check_tensors(tensors, self.device)
        from numba import cuda

        link = importlib.import_module("dualpipe_ref.comm.transport.nvshmem_link")
        built = jitted(kernel, link=link, element=element, threads=threads, linking=True)
        stream = torch.cuda.current_stream(self.device)
        built[blocks, threads, cuda.external_stream(stream.cuda_stream)](plan)
        stream.synchronize()

    def close(self) -> None:
        """Give the heap back and leave NVSHMEM. All ranks call it, once."""
        for heap in self._heaps:
            self._nvshmem.interop.torch.free_tensor(heap)
        self._heaps = []
        self._nvshmem.finalize()

    def _begun(self, rank: int) -> Any:
        core = importlib.import_module("nvshmem.core")
        importlib.import_module("nvshmem.core.interop.torch")
        from cuda.core import Device

        device = Device(self.device.index)
        device.set_current()
        carried = [core.get_unique_id() if rank == 0 else None]
        torch.distributed.broadcast_object_list(carried, src=_first(self._group), group=self._group)
        core.init(
            device=device,
            uid=carried[0],
            rank=rank,
            nranks=self.topology.ranks,
            initializer_method="uid",
        )
        return core

    def _address(self, peer: int) -> int:
        me = self.ranks.start
        if peer == me:
            return int(self._heaps[0].data_ptr())
        if self.topology.node_of(peer) != self.topology.node_of(me):
            return 0
        mapped = self._nvshmem.interop.torch.get_peer_tensor(self._heaps[0], peer)
        return int(mapped.data_ptr())


def require_nvshmem() -> None:
    """Raises `InputError` where nvshmem4py or what its device functions need is missing."""
    for name in ("nvshmem", "cffi"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                "GPUs of several nodes reach one another by nvshmem4py", f"no {name}", INSTALL
            )


def _first(group: torch.distributed.ProcessGroup | None) -> int:
    if group is None:
        return 0
    return int(torch.distributed.get_global_rank(group, 0))
