"""One process of the memory bench: of each case two training steps, and the live bytes of the second one.

Usage: python -m dualpipe_ref.bench.footprint_worker CASES.json OUT.json, started by `train.launch`. Rank 0 writes the result.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from dualpipe_ref.bench.group import process_group
from dualpipe_ref.bench.peers import Case
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.live_bytes import STATES, LiveBytes
from dualpipe_ref.runtime.optimizer import ShardedAdamW
from dualpipe_ref.runtime.pipeline import Pipeline


def measure(case: Case) -> dict[str, Any]:
    """This rank's peak in bytes, what it was made of, and what is left after the step.

    Python's collector of cycles is off while bytes are counted: what it would have to free counts as live.
    """
    schedule = case.schedule()
    shape = (1, case.tokens, case.config().hidden)
    pipeline = Pipeline(schedule, make_grid(schedule), case.stage, shape)
    optimizer = ShardedAdamW(pipeline, lr=1e-3)
    feeds = _feeds(case)
    _step(pipeline, optimizer, feeds)
    optimizer.zero_grad()
    gc.collect()
    gc.disable()
    parameters = [one for stage in pipeline.stages for one in stage.parameters()]
    with LiveBytes(parameters) as count:
        count.name("inputs", [one for feed in feeds for one in feed.values()])
        count.name("inputs", [one for stage in pipeline.stages for one in stage.buffers()])
        count.name(STATES, [one for _, kept in optimizer.states() for one in kept.values()])
        count.restart()
        pipeline.run(*feeds)
        found = {"peak": count.peak, "kinds": count.at_peak}
        count.restart()
        pipeline.sum_gradients()
        found["sums"] = count.peak
        count.restart()
        optimizer.step()
        found["optimizer"] = count.peak
        pipeline.worker.losses.clear()
        optimizer.zero_grad()
        found["left"] = dict(count.by_kind)
    gc.enable()
    return found


def _feeds(case: Case) -> list[dict[tuple[int, int], torch.Tensor]]:
    """Each direction takes every second micro-batch."""
    directions = case.schedule().placement.directions
    return [
        {
            (number % directions, number // directions): row.clone()
            for number, row in enumerate(rows.split(1))
        }
        for rows in case.data()
    ]


def _step(pipeline: Pipeline, optimizer: ShardedAdamW, feeds: Any) -> None:
    optimizer.zero_grad()
    pipeline.step(*feeds)
    optimizer.step()


def main() -> None:
    cases_path, out = sys.argv[1:]
    torch.set_num_threads(1)
    cases = [Case(**one) for one in json.loads(Path(cases_path).read_text())]
    with process_group(out, cases[0].ranks):
        found: list[list[dict[str, Any]]] = [[]] * cases[0].ranks
        torch.distributed.all_gather_object(found, [measure(case) for case in cases])
        if torch.distributed.get_rank() == 0:
            Path(out).write_text(json.dumps(list(zip(*found, strict=True))))


if __name__ == "__main__":
    main()
