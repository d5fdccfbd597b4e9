"""One launch: builds the kernel on emulated hardware, places its blocks and runs them. Importing this imports greenlet."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dualpipe_ref.comm.kernels.machine import bind
from dualpipe_ref.comm.transport import copying
from dualpipe_ref.comm.transport.emulated.cuda import Cuda
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.ptx import Ptx
from dualpipe_ref.comm.transport.emulated.rdma import Rdma
from dualpipe_ref.comm.transport.emulated.regions import Regions
from dualpipe_ref.comm.transport.emulated.sequential import Sequential
from dualpipe_ref.comm.transport.emulated.threads import Block
from dualpipe_ref.comm.transport.emulated.weak_network import WeakWithNetwork

if TYPE_CHECKING:
    from dualpipe_ref.comm.transport.emulated.transport import Emulated

# Queue pairs of a rank with each peer, for each of its blocks and once more: more than any kernel has.
QUEUES_PER_BLOCK = 4


class Launch:
    """All blocks of all ranks, from their start to their end."""

    def __init__(self, emulated: Emulated, regions: Regions, blocks: int) -> None:
        self.emulated, self.regions = emulated, regions
        leaps = emulated.when_stuck == "time out" or bool(emulated.absent)
        coverage = emulated.coverage if emulated.trace else None
        self.machine = Machine(emulated.seed, coverage, _queues(emulated, blocks), leaps)
        self.memory = (
            WeakWithNetwork(self.machine, regions, emulated.races, emulated.reads)
            if emulated.weak
            else Sequential(self.machine, regions)
        )

    def run(
        self,
        kernel: Callable[..., Any],
        plan: Any,
        blocks: int,
        threads: int,
        element: ModuleType | None,
    ) -> None:
        emulated, machine = self.emulated, self.machine
        cuda = Cuda(machine, self.memory, emulated.lanes)
        names: dict[str, Any] = {
            "cuda": cuda,
            "ptx": Ptx(machine, self.memory),
            "link": self._link(),
        }
        if element is not None:
            names["element"] = element
        functions: list[Callable[..., Any]] = []
        bound = bind(kernel, names, wrap=lambda function: _noted(function, functions))
        begin = _counted(bound, plan, functions, machine)
        for number in range(blocks * len(emulated.ranks)):
            rank, sm = divmod(number, blocks)
            if rank not in emulated.absent:
                owners = {None, emulated.topology.node_of(rank)}
                at = number if emulated.one_gpu else sm
                place = Block(number, rank, emulated.first_sm + at)
                machine.place(place, begin, threads, emulated.lanes, owners)
        self.memory.begin()
        try:
            with np.errstate(all="ignore"):
                machine.run()
            self.memory.end()
        finally:
            if machine.coverage is not None:
                machine.coverage.stop()

    def _link(self) -> Any:
        if self.emulated.link == "copying":
            return copying
        heaps = self.emulated._heaps
        size = heaps[0].numel() if heaps else 0
        addresses = [heap.data_ptr() for heap in heaps]
        return Rdma(self.machine, self.memory, self.emulated.topology, addresses, size)


def _queues(emulated: Emulated, blocks: int) -> int:
    topology = emulated.topology
    return topology.ranks * topology.nodes * QUEUES_PER_BLOCK * (blocks + 1)


def _noted(function: Any, functions: list[Callable[..., Any]]) -> Any:
    functions.append(function)
    return function


def _counted(
    kernel: Callable[..., Any],
    plan: Any,
    functions: list[Callable[..., Any]],
    machine: Machine,
) -> Callable[[], None]:
    """What a thread runs."""
    coverage = machine.coverage
    if coverage is None:

        def begin() -> None:
            machine.wait_for_start()
            kernel(plan)

        return begin
    coverage.follow([kernel, *functions])

    def begin_counted() -> None:
        machine.wait_for_start()
        coverage.start()
        kernel(plan)

    return begin_counted
