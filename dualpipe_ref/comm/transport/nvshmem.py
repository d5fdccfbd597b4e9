"""One process a GPU, on one node or several, with NVSHMEM's symmetric heap: puts over RDMA between nodes, mapped heaps inside.

Not run by us: it takes two nodes. What was checked without a GPU, with nvshmem4py 0.4.1 and NVSHMEM 3.8.0:

* every kernel is compiled with this link and linked with NVSHMEM's device library (`tests/test_kernels/test_nvshmem.py`);
* names, parameters and their order, by importing nvshmem4py and by the C++ that its device functions call; a unique id is pickled
  and comes back the same; `barrier_all` takes a torch stream, by the stream protocol of CUDA's Python packages;
* by NVSHMEM's headers: a warp's put synchronizes the warp before and after, so that a lane's signal comes after all lanes' stores; a
  fence orders a put before a later signal to the same rank for RDMA (it waits for what it must) and for mapped memory alike; a
  barrier on a stream completes puts that kernels before it began.

What was not: whether it starts, how fast it is, and whether words that a network card writes become visible to our acquiring loads
in the order of their arrival (NVSHMEM's own waits rely on the same). Numba launches without asking that all blocks run at once:
with less than a free SM for each, waits end by their limit.
"""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dualpipe_ref.comm.kernels.compiled import jitted
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu
from dualpipe_ref.comm.transport.processes import SECONDS, Processes
from dualpipe_ref.schedule.errors import InputError, require_int

INSTALL = "pip install -e '.[nvshmem]' -c constraints/nvshmem.txt"


class Nvshmem:
    """A transport with this process's rank alone, PE number = rank; see `base.Transport`. Made by all ranks together.

    `group`, the default one if not given, has R processes and moves CPU tensors (gloo does); NVSHMEM starts with what it
    carries. Processes of a node follow one another, L of them, each with a GPU of its own. Before NVSHMEM's barriers, which
    have no limit, all processes meet on the host: one that does not come within `seconds`, or has ended, is a `CommTimeout`.
    Raises `InputError` without a GPU, without nvshmem4py, with another number of processes, and, on all ranks, where nodes
    of the topology are not those of the machines or ranks want heaps of different sizes.
    """

    lanes = gpu.LANES

    def __init__(
        self,
        topology: Topology,
        group: ProcessGroup | None = None,
        *,
        seconds: float = SECONDS,
    ) -> None:
        gpu.require_gpu()
        require_nvshmem()
        self.topology, self._processes = topology, Processes(group, topology, seconds)
        rank = self._processes.rank
        self.ranks = range(rank, rank + 1)
        number = topology.local_of(rank) % torch.cuda.device_count()
        there = self._processes.gathered((socket.gethostname(), gpu.visible()[number]))
        hosts, gpus = zip(*there, strict=True)
        check_nodes(topology, hosts, gpus)
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
        # Symmetric memory of different sizes is undefined behaviour, and not told.
        self._processes.agree("size of heaps in bytes", size)
        heap = self._nvshmem.interop.torch.bytetensor(
            (size,), dtype=torch.uint8, except_on_del=False
        )
        gpu.check_start(heap)
        heap.zero_()
        torch.cuda.synchronize(self.device)
        self._heaps = [heap]
        self._addresses.copy_(
            torch.tensor([self._address(peer) for peer in range(self.topology.ranks)])
        )
        self._processes.meet()
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: the own heap and those of the own node; 0 for ranks that only the link reaches."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of the own heap, between two barriers. The first waits for what is on its way to it, too."""
        self._processes.meet()
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
        self._processes.launched()
        from numba import cuda

        link = importlib.import_module("dualpipe_ref.comm.transport.nvshmem_link")
        built = jitted(kernel, link=link, element=element, threads=threads, linking=True)
        stream = torch.cuda.current_stream(self.device)
        built[blocks, threads, cuda.external_stream(stream.cuda_stream)](plan)
        stream.synchronize()

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """The own record, and those of others that gave up within a few seconds of this."""
        return self._processes.who_gave_up(record)

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
        carried = self._processes.gathered(core.get_unique_id() if rank == 0 else None)
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
        try:
            mapped = self._nvshmem.interop.torch.get_peer_tensor(self._heaps[0], peer)
        except self._nvshmem.NvshmemError:
            raise gpu.Lacking(
                "GPUs of a node map one another's memory, by NVLink or PCIe",
                f"rank {me} does not reach rank {peer}",
                "a topology whose nodes are GPUs that do",
            ) from None
        return int(mapped.data_ptr())


def require_nvshmem() -> None:
    """Raises `gpu.Lacking` where nvshmem4py or what its device functions need is missing."""
    for name in ("nvshmem", "cffi"):
        if importlib.util.find_spec(name) is None:
            raise gpu.Lacking(
                "GPUs of several nodes reach one another by nvshmem4py", f"no {name}", INSTALL
            )


def check_nodes(topology: Topology, hosts: Sequence[str], gpus: Sequence[str]) -> None:
    """Raises `InputError` unless a node's ranks are on a machine of their own, each with a GPU of its own.

    >>> check_nodes(Topology(2, 2), ["a", "b", "a", "b"], ["GPU 0", "GPU 0", "GPU 1", "GPU 1"])
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: ranks of a node follow one another on a machine of their own; got rank 1 of
    node 0 on b, rank 0 on a; nearest legal: torchrun with 2 processes on each of 2 machines
    """
    for rank, host in enumerate(hosts):
        first, begin = hosts.index(host), topology.node_of(rank) * topology.gpus_per_node
        if hosts[begin] != host or first < begin:
            other = begin if hosts[begin] != host else first
            raise InputError(
                "ranks of a node follow one another on a machine of their own",
                f"rank {rank} of node {topology.node_of(rank)} on {host}, rank {other} on {hosts[other]}",
                f"torchrun with {topology.gpus_per_node} processes on each of {topology.nodes} machines",
            )
        shared = gpus.index(gpus[rank], begin)
        if shared < rank:
            raise InputError(
                "NVSHMEM wants a GPU for each rank",
                f"ranks {shared} and {rank} on {gpus[rank]} of {host}",
                f"{topology.gpus_per_node} GPUs on each machine",
            )
