"""One process that trains three steps with many schedules and compares all that is left with the unparallel run.

Losses, loads and biases of routers, parameters, and the state of the random generator. Bit for bit where each process
has all experts. Where two share them, tokens of both go through an expert together, and sums are made in another
order: in float64 a gradient is then off by less than 1e-15 and a parameter by less than 3 * 1e-3 * 1e-15 / 1e-4 of
AdamW's steps; loads and biases must still be equal, so a token that went elsewhere is seen.

Usage: python -m tests.test_runtime.worker PROCESS RANKS EXPERT_RANKS LAYERS FOLDER KINDS [FAULT]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.mover import Alone, Mover
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.optimizer import ShardedAdamW
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate.lanes import published_order
from tests.test_runtime import faults
from tests.test_runtime.model import (
    ADAMW,
    SEQUENCES,
    SPEED,
    STEPS,
    TOKENS,
    feeds,
    random_state,
    sizes,
    stage_of,
)

CLOSE = 1e-12


class Check:
    """One schedule against the unparallel run."""

    def __init__(
        self, kind: str, ranks: int, expert_ranks: int, layers: int, folder: Path, fault: str
    ) -> None:
        self.schedule = build(kind, ranks, 2 * ranks)
        self.grid = make_grid(self.schedule, expert_ranks)
        self.layers, self.fault, self.is_exact = layers, fault, expert_ranks == 1
        directions = self.schedule.placement.directions
        self.wanted = torch.load(folder / f"wanted{directions}.pt")
        mover: Mover = (
            Alone() if expert_ranks == 1 else Collective(self.grid.experts, background=True)
        )
        torch.manual_seed(7)
        self.pipeline = Pipeline(
            self.schedule,
            self.grid,
            lambda number, stages: stage_of(layers, number, stages, mover),
            (SEQUENCES, TOKENS, sizes(layers).hidden),
            torch.float64,
            order_of=published_order,
        )
        faults.plant(fault, self.pipeline)
        self.optimizer = ShardedAdamW(self.pipeline, **ADAMW)

    def differences(self) -> Iterator[str]:
        """What is not as in the unparallel run."""
        for step in range(STEPS):
            yield from self._step(step)
        yield from self._left()

    def _step(self, step: int) -> Iterator[str]:
        grid, schedule = self.grid, self.schedule
        data = feeds(schedule.placement.directions, schedule.microbatches, step, grid.expert_rank)
        self.optimizer.zero_grad()
        for key, loss in self.pipeline.step(*data).items():
            if not self._agree(loss, self.wanted["losses"][step][grid.expert_rank][key]):
                yield f"loss of {key} in step {step}"
        loads = self.pipeline.balance(SPEED)
        for stage, load in zip(self.pipeline.stages, loads, strict=True):
            first = stage.first_layer
            if not torch.equal(load, self.wanted["loads"][step][first : first + len(load)]):
                yield f"load of stage from layer {first} in step {step}"
        self.optimizer.step()
        evaluated = self.pipeline.evaluate(*data)
        if step + 1 == STEPS:
            return
        for loss in evaluated.values():
            if not loss.isfinite():
                yield "an evaluated loss"

    def _left(self) -> Iterator[str]:
        for stage in self.pipeline.stages:
            names = stage.names()
            for name, value in stage.state_dict().items():
                exact = self.is_exact or "router.bias" in name or "router.load" in name
                if not self._agree(value, self.wanted["state"][names[name]], exact):
                    yield f"{names[name]} after {STEPS} steps"
        if random_state() != self.wanted["random"]:
            yield "random state"

    def _agree(self, got: Tensor, wanted: Tensor, exact: bool | None = None) -> bool:
        if self.is_exact if exact is None else exact:
            return torch.equal(got, wanted)
        return torch.allclose(got, wanted, CLOSE, CLOSE)


def main() -> None:
    process, ranks, expert_ranks, layers = map(int, sys.argv[1:5])
    folder, kinds = Path(sys.argv[5]), sys.argv[6].split(",")
    fault = sys.argv[7] if len(sys.argv) > 7 else ""
    torch.set_num_threads(1)
    connect: dict[str, Any] = {"rank": process, "world_size": ranks * expert_ranks}
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", timeout=timedelta(seconds=60), **connect
    )
    for kind in kinds:
        check = Check(kind, ranks, expert_ranks, layers, folder, fault)
        found = list(check.differences())
        print(f"{kind} differs: {'; '.join(found[:3])}" if found else f"{kind} agrees", flush=True)
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
