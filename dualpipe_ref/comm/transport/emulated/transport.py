"""The transport that runs the shipped kernels on the CPU: all blocks of all ranks at the same time, one GPU for each rank."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated.coverage import Coverage
from dualpipe_ref.comm.transport.emulated.races import Races
from dualpipe_ref.comm.transport.emulated.regions import Region, Regions
from dualpipe_ref.schedule.errors import InputError, require_int


class Emulated:
    """A transport without a GPU. Every CUDA thread is a greenlet; memory is that of CPU tensors.

    `seed` chooses the schedule: the same seed, the same run. `lanes` is the size of a warp. `link` is how ranks of other
    nodes are reached: "rdma", a network that delivers late and out of order, or "copying", the link of one GPU.
    Each rank has `sms_per_rank` SMs, from number `first_sm` on, with room for one block each; with `one_gpu` the ranks'
    blocks have SMs of one GPU, one rank's after another's. `absent` ranks never start their blocks. When nobody
    can move, `when_stuck` "raise" raises Deadlock, "time out" lets time pass until waits give up; with absent ranks it
    is always "time out". `trace` counts the lines of kernels that run (slow): see `coverage`.

    With `weak` memory, `races` has the loads that may miss a store, by the lines of both; with `reads` also the stores that
    nothing orders after a load of what they overwrite.

    Raises `InputError` for values that make no sense, and `ImportError`, at the first launch, without greenlet.
    """

    def __init__(
        self,
        topology: Topology,
        seed: int = 0,
        lanes: int = 4,
        weak: bool = False,
        *,
        link: Literal["rdma", "copying"] = "rdma",
        sms_per_rank: int = 132,
        first_sm: int = 0,
        one_gpu: bool = False,
        absent: Collection[int] = (),
        when_stuck: Literal["raise", "time out"] = "raise",
        trace: bool = False,
        reads: bool = False,
    ) -> None:
        require_int("seed", seed, 0)
        require_int("lanes", lanes, 1)
        require_int("sms_per_rank", sms_per_rank, 1)
        require_int("first_sm", first_sm, 0)
        if lanes > 32 or lanes & (lanes - 1):
            raise InputError(
                "lanes of a warp are a power of two up to 32", f"lanes = {lanes}", "lanes = 4"
            )
        if link not in ("rdma", "copying"):
            raise InputError("link is 'rdma' or 'copying'", f"link = {link!r}", "link = 'rdma'")
        if reads and not weak:
            raise InputError("reads are looked at in weak memory", "weak = False", "weak = True")
        self.topology, self.ranks = topology, range(topology.ranks)
        self.device = torch.device("cpu")
        self.seed, self.lanes, self.weak, self.link = seed, lanes, weak, link
        self.sms_per_rank: int | None = sms_per_rank
        self.first_sm, self.one_gpu = first_sm, one_gpu
        self.absent, self.when_stuck, self.trace, self.reads = (
            frozenset(absent),
            when_stuck,
            trace,
            reads,
        )
        self.coverage = Coverage()
        self.races = Races()
        # What the last launch took: thread switches, steps, emulated nanoseconds.
        self.switches = self.steps = self.nanoseconds = 0
        self._heaps: list[Tensor] = []
        self._addresses = torch.zeros(topology.ranks, dtype=torch.int64)

    def heaps(self, size: int) -> list[Tensor]:
        """Make the heaps: [size] uint8, zeroed, 16-byte aligned, one for each rank."""
        if self._heaps:
            raise InputError("heaps are made once", f"a second call with {size} bytes", "one call")
        require_int("size", size, 1)
        self._heaps = [torch.zeros(size, dtype=torch.uint8) for _ in self.ranks]
        self._addresses.copy_(torch.tensor([heap.data_ptr() for heap in self._heaps]))
        return self._heaps

    def heap_addresses(self) -> Tensor:
        """[R] int64: the heaps. With link "rdma" a rank that uses one of another node directly gets an error."""
        return self._addresses

    def zero(self, first: int, size: int) -> None:
        for heap in self._heaps:
            heap[first : first + size] = 0

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
        """Run the kernel with `blocks` blocks of `threads` threads for each rank.

        Raises `Deadlock` when nobody can move, `KernelError` for what a GPU would not forgive, `InputError` for sizes.
        """
        self._check(plan, blocks, threads)
        try:
            from dualpipe_ref.comm.transport.emulated.launching import Launch
        except ModuleNotFoundError as error:
            if error.name != "greenlet":
                raise
            needed = "the emulator needs greenlet: pip install 'dualpipe-ref[kernels]'"
            raise ImportError(needed, name="greenlet") from None
        launch = Launch(self, self._regions(tensors), blocks)
        launch.run(kernel, plan, blocks, threads, element)
        self.switches, self.steps = launch.machine.switches, launch.machine.steps
        self.nanoseconds = launch.machine.clock

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """All ranks are here, and the first of them to give up stops all."""
        return [record]

    def _check(self, plan: Any, blocks: int, threads: int) -> None:
        if blocks > (self.sms_per_rank or blocks):
            raise InputError(
                f"{blocks} persistent blocks do not fit on {self.sms_per_rank} SMs: each block has an SM for itself",
                f"blocks = {blocks}",
                f"blocks = {self.sms_per_rank}",
            )
        if threads % self.lanes:
            raise InputError(
                f"threads of a block fill warps of {self.lanes} lanes",
                f"threads = {threads}",
                f"threads = {threads + -threads % self.lanes}",
            )
        if plan.blocks != blocks or plan.first_rank != 0:
            raise InputError(
                "the plan tells the blocks of a rank and the first rank of the launch",
                f"blocks = {plan.blocks}, first_rank = {plan.first_rank}",
                f"blocks = {blocks}, first_rank = 0",
            )

    def _regions(self, tensors: Sequence[Tensor]) -> Regions:
        regions = Regions()
        for rank, heap in enumerate(self._heaps):
            owner = self.topology.node_of(rank) if self.link == "rdma" else None
            regions.add(
                Region(
                    f"the heap of rank {rank}",
                    heap.data_ptr(),
                    heap.numel(),
                    heap,
                    owner,
                    rank,
                )
            )
        for number, tensor in enumerate([self._addresses, *tensors]):
            name = f"tensor {number - 1} of the launch" if number else "the table of heaps"
            kind = f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
            if not tensor.is_contiguous():
                raise InputError(
                    "tensors of a launch are contiguous",
                    f"{name}, {kind}, is not",
                    "tensor.contiguous()",
                )
            size = tensor.numel() * tensor.element_size()
            regions.add(Region(f"{name}, {kind}", tensor.data_ptr(), size, tensor))
        return regions
