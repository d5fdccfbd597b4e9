"""`measuring.Machine` on an NVIDIA GPU, all ranks as slices of it. No link is used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.kernels.plain_copy import PlainCopyPlan, plain_copy
from dualpipe_ref.comm.kernels.who_ran import WhoRanPlan, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import copying, gpu
from dualpipe_ref.comm.transport.one_gpu import OneGpu
from dualpipe_ref.hopper.cuda_driver import CudaDriver
from dualpipe_ref.hopper.kernel_records import empty_records
from dualpipe_ref.hopper.measuring import (
    V3,
    Exchanged,
    Work,
    exchanged,
)
from dualpipe_ref.hopper.replay import start
from dualpipe_ref.hopper.reserve import Half
from dualpipe_ref.hopper.sm_map import SmMap, ran, sm_map
from dualpipe_ref.hopper.torch_ways import done, torch_combine, torch_dispatch

# So that everything is in its queue before the first work begins: about a millisecond at 1.8 GHz.
GATE_CYCLES = 2_000_000
# What owns its SMs by shared memory must have them before computation fills the GPU: some 50 microseconds, since heaps are
# zeroed before.
HEAD_START_CYCLES = 100_000
# Of probes: communication stays as long as it takes computation to go through the GPU several times.
STAY_NS, SHORT_STAY_NS = 2_000_000, 50_000
PROBE_THREADS, PROBE_ROUNDS = 512, 8
# Of torch: takes how many SMs are not those of matmuls, or None.
TELL = "_set_sm_carveout_experimental"
QUERY = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.draw,power.limit,temperature.gpu"


class OnGpu:
    """The GPU number `device`. Raises `InputError` where kernels cannot run."""

    shape = V3
    copied_per_sm = 8 << 20
    side = 8192
    in_a_row = 4

    def __init__(self, device: int = 0) -> None:
        gpu.require_gpu()
        self.device = torch.device("cuda", device)
        torch.zeros(1, device=self.device)
        self.driver = CudaDriver(device)
        self.tells = hasattr(torch._C, TELL)
        self._square = torch.randn(self.side, self.side, device=self.device).bfloat16()
        self._product = torch.empty_like(self._square)

    def environment(self) -> dict[str, Any]:
        asked = {"gpu": self.driver.gpu.name, "cuda": self.driver.gpu.cuda}
        tool = shutil.which("nvidia-smi")
        if tool is None:
            return asked | {"driver": "unknown: no nvidia-smi", "clocks": {}}
        command = [tool, f"--query-gpu={QUERY}", "--format=csv,noheader", "-i", "0"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
        values = [one.strip() for one in answer.stdout.split(",")]
        found = dict(zip(QUERY.split(","), values, strict=False))
        return asked | {"driver": found.pop("driver_version", "unknown"), "clocks": found}

    def exchange(self, version: str, topology: Topology, blocks: int) -> Exchanged:
        # What torch keeps for streams that are gone, nobody can use again.
        torch.cuda.empty_cache()
        return exchanged(version, OneGpu(topology), self.shape, blocks, small=False)

    def works(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        made.check_fits(half)

        def work(steps: Any) -> Work:
            ranks = made.topology.ranks
            return Work(half, lambda at: start(steps, made.heaps, ranks, at, half.owns_sm))

        return work(made.dispatch), work(made.combine)

    def copy(self, half: Half, blocks: int, threads: int, size: int) -> Work:
        source = torch.arange(size // 4, dtype=torch.int32, device=self.device)
        target = torch.zeros_like(source)
        plan = PlainCopyPlan(0, blocks, source.data_ptr(), target.data_ptr(), size)

        kept = (source, target)  # the plan has their addresses

        def begin(stream: Any) -> None:
            assert kept
            self._launch(plain_copy, plan, blocks, threads, stream, half.owns_sm)

        torch.cuda.synchronize()  # the half's stream does not wait for the one that filled them
        begin(half.torch())
        torch.cuda.synchronize()
        if not torch.equal(source, target):
            raise RuntimeError("the plain copy did not copy")
        return Work(half, begin)

    def torch_ways(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        return (
            Work(half, lambda stream: done(torch_dispatch(made))),
            Work(half, lambda stream: done(torch_combine(made))),
        )

    def matmuls(self, half: Half, count: int) -> Work:
        left = self.driver.gpu.sms - half.sms

        def begin(stream: Any) -> None:
            with told(left):
                for _ in range(count):
                    torch.matmul(self._square, self._square, out=self._product)

        return Work(half, begin)

    def holder(self, half: Half, seconds: float) -> Work:
        records = self._records(half.sms)
        plan = WhoRanPlan(0, half.sms, records.data_ptr(), int(1e9 * seconds))

        def begin(stream: Any) -> None:
            assert len(records) == half.sms  # the plan has its address
            self._launch(who_ran, plan, half.sms, PROBE_THREADS, stream, half.owns_sm)

        return Work(half, begin)

    def seconds(self, *works: Work, beside: Work | None = None, runs: int = 5) -> float:
        streams = [work.half.torch() for work in works]
        self._once(works, streams, beside)
        return median(self._once(works, streams, beside) for _ in range(runs))

    def probe(self, communication: Half, compute: Half) -> SmMap:
        mine = self._records(communication.sms)
        theirs = self._records(PROBE_ROUNDS * self.driver.gpu.sms)
        first = self._asking(communication, mine, STAY_NS, together=True)
        second = self._asking(compute, theirs, SHORT_STAY_NS, together=False)
        for _ in range(2):  # the first time it is compiled
            self._once((first, second), [communication.torch(), compute.torch()])
        return sm_map(self.driver.gpu.sms, ran(mine.tolist()), ran(theirs.tolist()))

    def probe_kernels(
        self, made: Exchanged, communication: Half, compute: Half
    ) -> dict[str, SmMap]:
        kept = made.recording()
        theirs = self._records(PROBE_ROUNDS * self.driver.gpu.sms)
        second = self._asking(compute, theirs, SHORT_STAY_NS, together=False)
        found = {}
        for phase, work in zip(kept.records, self.works(kept.made, communication), strict=True):
            for _ in range(2):
                kept.clear()
                self._once((work, second), [communication.torch(), compute.torch()])
            found[phase] = sm_map(self.driver.gpu.sms, kept.ran(phase), ran(theirs.tolist()))
        return found

    def _asking(self, half: Half, records: Tensor, stay: int, together: bool) -> Work:
        """Blocks that stay for so many nanoseconds and write down where."""
        plan = WhoRanPlan(0, len(records), records.data_ptr(), stay)
        return Work(
            half,
            lambda stream: self._launch(
                who_ran, plan, len(records), PROBE_THREADS, stream, half.owns_sm, together
            ),
        )

    def _records(self, blocks: int) -> Tensor:
        return empty_records(blocks, PROBE_THREADS, gpu.LANES, self.device)

    def _launch(
        self,
        kernel: Any,
        plan: Any,
        blocks: int,
        threads: int,
        stream: Any,
        owns_sm: bool = False,
        together: bool = True,
    ) -> None:
        gpu.launch(
            kernel,
            plan,
            grid=blocks,
            threads=threads,
            link=copying,
            element=None,
            stream=stream,
            together=together,
            owns_sm=owns_sm,
        )

    def _once(self, works: Any, streams: Any, beside: Work | None = None) -> float:
        """One run of all works from a common start; what comes first is given a head start where it owns its SMs."""
        gate = torch.cuda.current_stream()
        torch.cuda.synchronize()
        torch.cuda._sleep(GATE_CYCLES)
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record(gate)
        first = works[0] if beside is None else beside
        if beside is not None:
            holding = beside.half.torch()
            holding.wait_event(began)
            with torch.cuda.stream(holding):
                beside.start(holding)
        for place, (work, stream) in enumerate(zip(works, streams, strict=True)):
            stream.wait_event(began)
            with torch.cuda.stream(stream):
                if first.half.owns_sm and (place or beside is not None):
                    torch.cuda._sleep(HEAD_START_CYCLES)
                work.start(stream)
            gate.wait_stream(stream)
        ended.record(gate)
        torch.cuda.synchronize()
        return float(began.elapsed_time(ended)) / 1e3


@contextmanager
def told(taken: int) -> Iterator[bool]:
    """Matmuls inside are told that `taken` SMs are not theirs, if this torch can: else a persistent one takes them all."""
    tell = getattr(torch._C, TELL, None)
    if tell is None or not taken:
        yield False
        return
    tell(taken)
    try:
        yield True
    finally:
        tell(None)
