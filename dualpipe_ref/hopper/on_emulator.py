"""`measuring.Machine` without a GPU: the host's part and all kernels run, times mean nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dualpipe_ref.comm.kernels.plain_copy import PlainCopyPlan, plain_copy
from dualpipe_ref.comm.kernels.who_ran import WhoRanPlan, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.emulated_driver import EmulatedDriver
from dualpipe_ref.hopper.kernel_records import empty_records
from dualpipe_ref.hopper.measuring import (
    TINY,
    Exchanged,
    Work,
    exchanged,
)
from dualpipe_ref.hopper.replay import again
from dualpipe_ref.hopper.reserve import Half
from dualpipe_ref.hopper.sm_map import Ran, SmMap, ran, sm_map
from dualpipe_ref.hopper.torch_ways import done, torch_combine, torch_dispatch

LANES = 8
STAY, PROBE_THREADS = 200, 4


class OnEmulator:
    """Every kernel in the emulator, one work after another."""

    shape = TINY
    copied_per_sm = 512
    side = 16
    in_a_row = 1
    tells = False

    def __init__(self) -> None:
        self.driver = EmulatedDriver()
        self._transports: dict[int, Emulated] = {}

    def environment(self) -> dict[str, Any]:
        return {"gpu": self.driver.gpu.name, "driver": "emulated", "clocks": {}}

    def exchange(self, version: str, topology: Topology, blocks: int) -> Exchanged:
        # Threads cost time here: the fewest blocks do for any number. Queues have two for each channel.
        transport = Emulated(topology, lanes=LANES, link="copying", one_gpu=True)
        made = exchanged(
            version, transport, self.shape, 1 if version == "direct" else 2, small=True
        )
        # All that is made of an exchange has its heaps.
        self._transports[id(made.heaps)] = transport
        return made

    def works(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        made.check_fits(half)
        transport, first = (
            self._transports[id(made.heaps)],
            self.driver.sms_of(half.stream).start,
        )

        def work(steps: Any) -> Work:
            def start(stream: Any) -> None:
                transport.first_sm = first
                again(transport, steps)

            return Work(half, start)

        return work(made.dispatch), work(made.combine)

    def copy(self, half: Half, blocks: int, threads: int, size: int) -> Work:
        blocks = min(blocks, 4)
        source = torch.arange(size // 4, dtype=torch.int32)
        target = torch.zeros_like(source)
        plan = PlainCopyPlan(0, blocks, source.data_ptr(), target.data_ptr(), size)

        def start(stream: Any) -> None:
            tensors = [source, target]
            emulated = Emulated(Topology(1, 1), lanes=LANES)
            emulated.launch(plain_copy, plan, blocks=blocks, threads=LANES, tensors=tensors)
            if not torch.equal(source, target):
                raise RuntimeError("the plain copy did not copy")

        return Work(half, start)

    def torch_ways(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        return (
            Work(half, lambda stream: done(torch_dispatch(made))),
            Work(half, lambda stream: done(torch_combine(made))),
        )

    def matmuls(self, half: Half, count: int) -> Work:
        a = torch.randn(self.side, self.side, dtype=torch.bfloat16)

        def start(stream: Any) -> None:
            for _ in range(count):
                torch.matmul(a, a)

        return Work(half, start)

    def holder(self, half: Half, seconds: float) -> Work:
        return Work(half, lambda stream: done(_probed(range(half.sms))))

    def seconds(self, *works: Work, beside: Work | None = None, runs: int = 1) -> float:
        if beside is not None:
            beside.start(beside.half.stream)
        began = time.perf_counter()
        for work in works:
            work.start(work.half.stream)
        return time.perf_counter() - began

    def probe(self, communication: Half, compute: Half) -> SmMap:
        mine = self.driver.sms_of(communication.stream)[: communication.sms]
        theirs = self._left(communication, compute)
        return sm_map(self.driver.gpu.sms, _probed(mine), _probed(theirs))

    def probe_kernels(
        self, made: Exchanged, communication: Half, compute: Half
    ) -> dict[str, SmMap]:
        kept, theirs = made.recording(), self._left(communication, compute)
        found = {}
        for phase, work in zip(kept.records, self.works(kept.made, communication), strict=True):
            kept.clear()
            work.start(communication.stream)
            found[phase] = sm_map(self.driver.gpu.sms, kept.ran(phase), _probed(theirs))
        return found

    def _left(self, communication: Half, compute: Half) -> range:
        """The SMs of computation. Where no context says so, it has all but those that others own."""
        sms = self.driver.sms_of(compute.stream)
        return sms[communication.sms :] if communication.owns_sm else sms


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch has so many inside: several, for matrices as small as these, do nothing but wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _probed(sms: range) -> list[Ran]:
    records = empty_records(len(sms), PROBE_THREADS, PROBE_THREADS)
    plan = WhoRanPlan(0, len(sms), records.data_ptr(), STAY)
    Emulated(Topology(1, 1), first_sm=sms.start).launch(
        who_ran, plan, blocks=len(sms), threads=PROBE_THREADS, tensors=[records]
    )
    return ran(records.tolist())
