"""Make the files that readers download from the pages: traces for Perfetto, made by the package itself."""

from __future__ import annotations

from pathlib import Path

from dualpipe_ref.plot.trace import write_trace
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, simulate

FOLDER = Path(__file__).resolve().parents[1] / "_downloads"
RUNS = {
    "1f1b_P8_m20": ("1f1b", 8, 20, Costs()),
    "dualpipe_P8_m20": ("dualpipe", 8, 20, Costs(FB=3)),
}


def main() -> None:
    """Write one trace a run."""
    FOLDER.mkdir(exist_ok=True)
    for name, (kind, ranks, microbatches, costs) in RUNS.items():
        timeline = simulate(build(kind, ranks, microbatches), costs)
        write_trace(timeline, FOLDER / f"{name}.trace.json")


if __name__ == "__main__":
    main()
