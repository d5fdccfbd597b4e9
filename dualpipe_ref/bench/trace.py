"""What a recorded run has to do with the simulator: on timed devices, and with a real model in training.

On a timed device an op holds its rank for a time of our choice, so the simulator must be right without any fitting. Of a
real model the costs are fitted to one half of the steps, and the other half is predicted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dualpipe_ref.bench.processes import run_bench, run_processes
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import limit
from dualpipe_ref.runtime.recorded import read_run
from dualpipe_ref.simulate.fit import compare

RANKS = 8
CASES = (
    *("gpipe:20", "1f1b:20", "interleaved:24", "zb-h1:20", "zb-v:20", "chimera:24"),
    *("dualpipe:20", "dualpipev:20", "dualpipe:20:2.2", "dualpipev:20:2.2"),
)
UNIT = 40e6  # ns: a message takes some 0.2 ms, and about 15 of them stand one behind another
STEPS = 4
TRAINED = ("1f1b", "dualpipe", "dualpipev")
# Two processes with a core each; ops of 10 to 20 ms.
SIZES = [
    "--nproc",
    "2",
    "--microbatches",
    "8",
    "--steps",
    "25",
    "--hidden",
    "160",
    "--tokens",
    "96",
]


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/trace.json)."""
    return run_bench("trace", _rows, out)


def _rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield from trained_rows(Path(folder), TRAINED)
        yield from timed_rows(Path(folder), CASES)


def timed_rows(folder: Path, cases: Sequence[str], ranks: int = RANKS) -> Iterator[Row]:
    """How far the median step of each case is from the simulator's makespan, and what recording it cost."""
    for found in timed(folder, cases, ranks, UNIT, STEPS):
        name = f"trace.timed_p{ranks}_{found['case'].replace(':', '_')}"
        told = ", ".join(f"{100 * one:+.2f} %" for one in found["differences"])
        off = abs(median(found["differences"]))
        yield Row(name, off, "of the makespan", limit(name), f"the steps were off by {told}")
        name += "_recording"
        yield Row(name, found["recording"], "of the step", limit(name))


def timed(
    folder: Path,
    cases: Sequence[str],
    ranks: int,
    unit: float,
    steps: int,
    good: float = 0,
    worker: str = "dualpipe_ref.bench.timed_worker",
) -> list[dict[str, Any]]:
    """What `timed_worker` finds of each case on fresh processes. Raises `BenchError`."""
    arguments = [folder, unit, steps, good, ",".join(cases)]
    run_processes(worker, arguments, ranks)
    found: list[dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return found


def trained_rows(folder: Path, kinds: Sequence[str]) -> Iterator[Row]:
    """How far the prediction of the held-out steps of a real run is from their median."""
    for kind in kinds:
        path = folder / f"{kind}.json"
        arguments = ["--schedule", kind, *SIZES, "--trace", path]
        run_processes("dualpipe_ref.train.run", arguments, 2)
        found = compare(read_run(path).timelines())
        steps = ", ".join(f"{float(one.makespan) / 1e6:.0f}" for one in found.held_out)
        name = f"trace.trained_p2_{kind}"
        why = f"steps of {steps} ms were predicted as {float(found.predicted) / 1e6:.0f} ms"
        yield Row(name, abs(found.difference), "of the makespan", limit(name), why)
        yield Row(f"{name}_makespan", float(found.measured) / 1e6, "ms")
        yield Row(f"{name}_steady", float(found.steady.makespan) / 1e6, "ms")
