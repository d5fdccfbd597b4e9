"""`measuring.Machine` without a GPU: the host's part and all kernels run, times mean nothing."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.kernels.plain_copy import PlainCopyPlan, plain_copy
from dualpipe_ref.comm.kernels.who_ran import WORDS, WhoRanPlan, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.emulated_driver import EmulatedDriver
from dualpipe_ref.hopper.measuring import (
    TINY,
    Exchanged,
    Work,
    done,
    exchanged,
    torch_combine,
    torch_dispatch,
)
from dualpipe_ref.hopper.replay import again
from dualpipe_ref.hopper.reserve import Half
from dualpipe_ref.hopper.sm_map import Ran, SmMap, ran, sm_map

LANES = 8
STAY = 200


class OnEmulator:
    """Every kernel in the emulator, one work after another."""

    shape = TINY
    copied_per_sm = 512
    side = 16

    def __init__(self) -> None:
        self.driver = EmulatedDriver()
        self._transports: dict[int, Emulated] = {}

    def environment(self) -> dict[str, Any]:
        return {"gpu": self.driver.gpu.name, "driver": "emulated", "clocks": {}}

    def exchange(self, version: str, topology: Topology, blocks: int) -> Exchanged:
        # Threads cost time here: the fewest blocks do for any number. Queues have two for each channel.
        transport = Emulated(topology, lanes=LANES, link="copying")
        made = exchanged(
            version, transport, self.shape, 1 if version == "direct" else 2, small=True
        )
        self._transports[id(made)] = transport
        return made

    def works(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        made.check_fits(half)
        transport = self._transports[id(made)]
        return (
            Work(half, lambda stream: again(transport, made.dispatch)),
            Work(half, lambda stream: again(transport, made.combine)),
        )

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
        took = []
        if beside is not None:
            beside.start(beside.half.stream)
        for _ in range(min(runs, 1)):
            began = time.perf_counter()
            for work in works:
                work.start(work.half.stream)
            took.append(time.perf_counter() - began)
        return median(took)

    def probe(self, communication: Half, compute: Half) -> SmMap:
        mine, theirs = (self.driver.sms_of(half.stream) for half in (communication, compute))
        if self.driver.open[communication.stream] is None:
            # No context says where blocks go: those that come first get the first SMs, and keep them if they own them.
            mine = range(communication.sms)
            theirs = range(communication.sms if communication.owns_sm else 0, self.driver.gpu.sms)
        return sm_map(self.driver.gpu.sms, _probed(mine), _probed(theirs))


def _probed(sms: range) -> list[Ran]:
    records: Tensor = torch.full((len(sms), WORDS), -1)
    plan = WhoRanPlan(0, len(sms), records.data_ptr(), STAY)
    Emulated(Topology(1, 1), first_sm=sms.start).launch(
        who_ran, plan, blocks=len(sms), threads=4, tensors=[records]
    )
    return ran(records.tolist())
