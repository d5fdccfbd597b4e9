"""The bytes that each rank of a real training step holds at its peak, beside what `simulate.footprint` says: `bench memory`."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualpipe_ref.bench.processes import run_bench, run_processes, say
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import limit
from dualpipe_ref.simulate import simulate
from dualpipe_ref.simulate.chunk_bytes import POLICIES, Batch
from dualpipe_ref.simulate.deployment import eager_stages
from dualpipe_ref.simulate.footprint import Footprint, footprint, peak_of_copies

if TYPE_CHECKING:
    from dualpipe_ref.bench.peers import Case

WORKER = "dualpipe_ref.bench.footprint_worker"
# Of other proportions than those at which the model's few estimates (workspace, what W waits with) were found.
MODEL = {
    "vocabulary": 320,
    "hidden": 96,
    "heads": 3,
    "head_dim": 32,
    "rotary_dim": 16,
    "query_latent": 64,
    "key_value_latent": 48,
    "experts": 8,
    "expert_hidden": 80,
}
TOKENS = 160
KINDS = ("gpipe", "1f1b", "zb-h1", "zb-v", "dualpipe", "dualpipev")
ALL_POLICIES = ("1f1b", "zb-h1", "dualpipe")  # of these; of the others none and full alone
MB = 1e6


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/memory.json)."""
    return run_bench("memory", _rows, out)


def cases(ranks: int, kinds: Sequence[str] = KINDS) -> list[Case]:
    """All that run on so many processes: at least two layers a rank, and steps that are long enough for a steady state."""
    from dualpipe_ref.bench.peers import Case

    return [
        Case(kind, ranks, 2 * ranks, TOKENS, MODEL | {"layers": 2 * ranks, "recompute": policy})
        for kind in kinds
        for policy in (POLICIES if kind in ALL_POLICIES else ("none", "full"))
    ]


def _rows() -> Iterator[Row]:
    for ranks in (2, 4):
        yield from rows(cases(ranks))


def rows(chosen: Sequence[Case]) -> Iterator[Row]:
    """For each case the highest peak of all ranks in MB, measured and predicted, and the worst of the ranks' differences."""
    for case, found in zip(chosen, measured(chosen), strict=True):
        name = f"memory.{case.kind}_p{case.ranks}_{case.model['recompute']}"
        told = predicted(case)
        peaks = [peak.total for peak in told.peaks]
        off = [here["peak"] / there - 1 for here, there in zip(found, peaks, strict=True)]
        each = ", ".join(f"{100 * one:+.1f} %" for one in off)
        yield Row(f"{name}_measured", max(one["peak"] for one in found) / MB, "MB")
        yield Row(f"{name}_predicted", max(peaks) / MB, "MB")
        worst = max(map(abs, off))
        most = limit(f"{name}_off")
        yield Row(f"{name}_off", worst, "of the peak", most, f"ranks are off by {each}")
        activations = [one["kinds"].get("activations", 0) for one in found]
        yield Row(f"{name}_activations", max(activations) / MB, "MB")
        yield Row(f"{name}_sums", max(one["sums"] for one in found) / MB, "MB")
        schedule = case.schedule()
        sums = [peak_of_copies(schedule, _stages(case), rank) for rank in range(case.ranks)]
        yield Row(f"{name}_sums_predicted", max(sums) / MB, "MB")


def measured(chosen: Sequence[Case]) -> list[list[dict[str, Any]]]:
    """Of each case what each rank found; see `footprint_worker`. All run on one set of processes. Raises `BenchError`."""
    say(f"{len(chosen)} cases on {chosen[0].ranks} processes")
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "cases.json"), Path(folder, "out.json")
        path.write_text(json.dumps([dataclasses.asdict(case) for case in chosen]))
        run_processes(WORKER, [path, out], chosen[0].ranks)
        found: list[list[dict[str, Any]]] = json.loads(out.read_text())
        return found


def predicted(case: Case) -> Footprint:
    """The same from the sizes alone."""
    from dualpipe_ref.runtime.point_to_point import SENDS

    # Peaks depend on the order, so any costs do.
    return footprint(simulate(case.schedule()), _stages(case), sends_kept=SENDS)


def _stages(case: Case) -> Any:
    from dualpipe_ref.model.shape import shape_of

    config = case.config()
    placement = case.schedule().placement
    return eager_stages(shape_of(config), Batch(1, case.tokens), placement, config.recompute)
