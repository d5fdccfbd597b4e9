"""One process of a recorded run, on a timed device or with a real model; rank 0 writes FOLDER/run.json.

Each rank's clock is off by a planted skew, (RANK ** 2) * 7 s, which the trace must take out again.

Usage: python -m tests.test_runtime.recorded_worker RANK RANKS FOLDER timed|model KIND M STEPS
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed

from dualpipe_ref.bench.timed_worker import ask_for_priority
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.clocks import measure_offsets
from dualpipe_ref.runtime.executor import Executor
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.runtime.timed import timed_executor
from dualpipe_ref.runtime.trace import RunTrace, recording_share
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import Costs
from tests.test_runtime.model import feeds

UNIT = 10e6
SECONDS = 7_000_000_000
TOKENS = 6  # of feeds
REST = 0.5  # s before a real step: who has priority may not use all of a core for long


def skew(rank: int) -> int:
    return rank**2 * SECONDS


class Timed:
    """Steps on a timed device."""

    def __init__(self, schedule: Schedule, rank: int) -> None:
        self.executor = timed_executor(schedule, rank, Costs(F=1, I=1, W=1), UNIT)

    def step(self, _number: int) -> None:
        self.executor.step()


class Model:
    """Steps of a real model in float32."""

    def __init__(self, schedule: Schedule, _rank: int) -> None:
        config = ModelConfig(
            vocabulary=11,
            hidden=128,
            layers=2 * schedule.placement.stages,
            heads=4,
            head_dim=32,
            rotary_dim=16,
            key_value_latent=64,
            experts=4,
            experts_per_token=2,
            expert_hidden=256,
        )
        buffer = Buffer(Topology(1, 1), config.experts, Alone())

        def make(number: int, stages: int) -> Stage:
            return Stage(config, number, stages, buffer)

        torch.manual_seed(7)
        self.schedule = schedule
        self.pipeline = Pipeline(schedule, make_grid(schedule), make, (8, 8 * TOKENS, 128))
        self.executor: Executor = self.pipeline.executor

    def step(self, number: int) -> None:
        time.sleep(REST)
        torch.distributed.barrier()
        directions, microbatches = self.schedule.placement.directions, self.schedule.microbatches
        data = feeds(directions, microbatches, number, 0)
        self.pipeline.step(*({key: one.repeat(8, 8) for key, one in feed.items()} for feed in data))
        for stage in self.pipeline.stages:
            stage.zero_grad()


def main() -> None:
    rank, ranks, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    device, kind, microbatches, steps = sys.argv[4], sys.argv[5], *map(int, sys.argv[6:8])
    torch.set_num_threads(1)
    ask_for_priority()
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        timeout=timedelta(seconds=60),
        rank=rank,
        world_size=ranks,
    )

    def clock() -> int:
        return time.monotonic_ns() + skew(rank)

    offsets = measure_offsets(clock)
    running = (Timed if device == "timed" else Model)(build(kind, ranks, microbatches), rank)
    running.executor.recorder.clock = clock
    trace = RunTrace(running.executor)
    for number in range(steps):
        torch.distributed.barrier()
        running.step(number)
        trace.add_step()
    trace.write(folder / "run.json", {"device": device})
    if rank == 0:
        print(json.dumps({"offsets": offsets}))
    print(json.dumps({"recording": recording_share(running.executor.recorder)}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
