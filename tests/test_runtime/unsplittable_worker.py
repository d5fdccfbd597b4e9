"""One process of a pipeline whose second stage cannot be split; says what the first step ends with.

Usage: python -m tests.test_runtime.unsplittable_worker PROCESS KIND FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor, nn

from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.schedule import InputError, build
from tests.test_runtime.test_can_split import Checkpointed


class Judged(nn.Sequential):
    def forward(self, values: Tensor, targets: Tensor | None = None) -> Tensor:
        made = super().forward(values)
        return made if targets is None else (made - targets).square().mean()


def main() -> None:
    process, kind, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    store = f"file://{folder / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=process, world_size=2)
    schedule = build(kind, 2, 4)
    pipeline = Pipeline(
        schedule,
        make_grid(schedule),
        lambda number, _: Judged(nn.Linear(4, 4), Checkpointed(reentrant=number == 1)),
        (1, 4),
    )
    feed = {(0, number): torch.ones(1, 4) for number in range(4)}
    try:
        pipeline.step(feed, feed)
        print("a step")
    except InputError as error:
        gradients = [one for stage in pipeline.stages for one in stage.parameters()]
        count = sum(one.grad is not None for one in gradients)
        print(f"{error}; gradients: {count}, ops: {len(pipeline.recorder.ops)}")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
