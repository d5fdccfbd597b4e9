"""Forward and backward of a step beside torch.distributed.pipelining: the same stages, data, and order of work.

Both sides run in the same processes, one thread each, in turn; what counts is the ratio of two runs that follow each
other, which other work on the machine disturbs less than times. There is no optimizer step on either side.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from dualpipe_ref.bench.processes import run_bench, run_processes, say
from dualpipe_ref.bench.ratios import ratio_rows
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import target_of

if TYPE_CHECKING:
    from dualpipe_ref.bench.peers import Case

WORKER = ("dualpipe_ref.bench.step_worker",)
# The forward of one layer takes 5 to 10 ms on a core of 2024.
MODEL = {
    "hidden": 256,
    "layers": 8,
    "heads": 4,
    "head_dim": 64,
    "rotary_dim": 32,
    "key_value_latent": 128,
    "expert_hidden": 256,
}
TOKENS, MICROBATCHES = 128, 8
RANKS = (2, 4)  # with 4, more processes than cores here: they measure the work, not the waiting
RUNS, MEMORY_RUNS = 21, 3


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/step.json)."""
    return run_bench("step", _rows, out)


def _rows() -> Iterator[Row]:
    from dualpipe_ref.bench.peers import CLASSES, Case

    for ranks in RANKS:
        for kind in CLASSES:
            case = Case(kind, ranks, MICROBATCHES, TOKENS, MODEL)
            yield from _time_rows(case)
            yield from _memory_rows(case)


def run(
    case: Case, what: str, runs: int, *side: str, worker: Sequence[str] = WORKER
) -> dict[str, Any]:
    """What rank 0 of a fresh set of processes reports; see `step_worker`, the default `worker`. Raises `BenchError`."""
    module, *first = worker
    with tempfile.TemporaryDirectory() as folder:
        case_path, out = Path(folder, "case.json"), Path(folder, "out.json")
        case_path.write_text(json.dumps(dataclasses.asdict(case)))
        arguments = [*first, what, str(case_path), str(runs), str(out), *side]
        run_processes(module, arguments, case.ranks)
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def _time_rows(case: Case) -> Iterator[Row]:
    say(f"{case.kind}, P = {case.ranks}: both sides {RUNS} times in turn")
    found = run(case, "compare", RUNS)
    name = f"step.{case.kind}_p{case.ranks}"
    for what, unit in (("seconds", "s"), ("processor", "s")):
        ours, theirs = found[what]["ours"], found[what]["theirs"]
        target = target_of(f"{name}_{what}_ratio")
        yield Row(f"{name}_{what}_ours", median(ours), unit)
        yield Row(f"{name}_{what}_torch", median(theirs), unit)
        yield from ratio_rows(
            f"{name}_{what}", ours, theirs, "ours / torch", target and target.limit
        )
    say("losses and gradients of both sides are equal bit for bit")


def _memory_rows(case: Case) -> Iterator[Row]:
    for side, name in (("ours", "ours"), ("theirs", "torch")):
        say(f"{case.kind}, P = {case.ranks}: memory of {name} alone")
        found = run(case, "memory", MEMORY_RUNS, side)
        prefix = f"step.{case.kind}_p{case.ranks}_memory_{name}"
        yield Row(prefix, max(found["peak"]), "GB")
        yield Row(f"{prefix}_of_steps", max(found["steps"]), "GB")
