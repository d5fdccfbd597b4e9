"""What `dualpipe-ref train --schedule dualpipe --nproc 4` reaches, and when: its held-out losses by minute."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dualpipe_ref.bench.processes import run_bench, run_processes
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import limit

RANKS = 4
RUN = ("--schedule", "dualpipe", "--nproc", str(RANKS), "--evaluate-every", "40")


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/train.json)."""
    return run_bench("train", _rows, out)


def _rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        began = time.perf_counter()
        run_processes("dualpipe_ref.train.run", [*RUN, "--metrics", path], RANKS)
        minutes = (time.perf_counter() - began) / 60
        yield Row("train.minutes", minutes, "min, all in all", limit("train.minutes"))
        yield from rows([json.loads(line) for line in path.read_text().splitlines()])


def rows(steps: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """The rows of a run from the lines of its metrics, one a step; its minutes are those of the steps alone.

    >>> lines = [{"step": n, "seconds": 3, "tokens_per_second": 9, "bubble": 0.2} for n in (0, 1)]
    >>> lines[-1]["held_out_loss"] = 1.5
    >>> for row in rows(lines): print(row.bench, row.value)
    train.step_2_minutes 0.1
    train.step_2_held_out_loss 1.5
    train.held_out_loss 1.5
    train.tokens_per_second 9.0
    train.bubble 0.2
    """
    seconds = 0.0
    for one in steps:
        seconds += one["seconds"]
        if "held_out_loss" in one:
            name = f"train.step_{one['step'] + 1}"  # of so many done
            yield Row(f"{name}_minutes", seconds / 60, "min")
            yield Row(f"{name}_held_out_loss", one["held_out_loss"], "nats a byte")
    name = "train.held_out_loss"
    yield Row(name, steps[-1]["held_out_loss"], "nats a byte", limit(name))
    yield Row("train.tokens_per_second", median(one["tokens_per_second"] for one in steps), "1/s")
    yield Row("train.bubble", median(one["bubble"] for one in steps), "of the step")
