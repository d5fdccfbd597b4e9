"""A backward in two halves beside torch's own halves: time, and bytes that are held until W. Same modules, same bits.

Both sides run in this process, one thread, in turn; what counts is the ratio of two runs that follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from dualpipe_ref.bench.processes import run_bench, say
from dualpipe_ref.bench.ratios import ratio_rows
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.step import MODEL, TOKENS
from dualpipe_ref.bench.targets import limit

if TYPE_CHECKING:
    from dualpipe_ref.bench.split_sides import Case

RUNS, WARM_UP = 41, 3
DENSE = {"dense_layers": 1000}
REMADE = {"recompute": "full"}


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/split.json)."""
    return run_bench("split", _rows, out)


def cases() -> list[Case]:
    """What is measured, smallest first."""
    from dualpipe_ref.bench.split_sides import Case

    return [
        Case("linear", 0, TOKENS, MODEL),
        Case("block", 1, TOKENS, MODEL, DENSE),
        Case("experts", 1, TOKENS, MODEL),
        Case("layers_2", 2, TOKENS, MODEL),
        Case("layers_8", 8, TOKENS, MODEL),
        Case("layers_2_recomputed", 2, TOKENS, MODEL, REMADE),
    ]


def _rows() -> Iterator[Row]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case in cases():
            yield from rows(case, RUNS)
    finally:
        torch.set_num_threads(threads)


def rows(case: Case, runs: int) -> Iterator[Row]:
    """All rows of a case. Raises `RuntimeError` where the sides do not compute the same."""
    from dualpipe_ref.bench.split_sides import SIDES, differences, held, timed

    sides = {name: make(case) for name, make in SIDES.items()}
    found = differences(list(sides.values()))
    if found:
        raise RuntimeError(
            f"{case.name}: the sides do not compute the same: {'; '.join(found[:3])}"
        )
    say(f"{case.name}: all gradients are equal bit for bit; {runs} runs of each side in turn")
    for _ in range(WARM_UP):
        for side in sides.values():
            timed(side)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for run in range(runs):
        for name in sorted(sides, reverse=bool(run % 2)):
            times[name].append(timed(sides[name]))
    prefix = f"split.{case.name}"
    for name in ("ours", "torch"):
        yield Row(f"{prefix}_input_{name}", 1e3 * median(i for i, _ in times[name]), "ms")
        yield Row(f"{prefix}_weight_{name}", 1e3 * median(w for _, w in times[name]), "ms")
    whole = {name: [i + w for i, w in some] for name, some in times.items()}
    yield from ratio_rows(
        prefix, whole["ours"], whole["torch"], "ours / torch", limit(f"{prefix}_ratio")
    )
    yield from ratio_rows(f"{prefix}_whole", whole["ours"], whole["whole"], "split / one backward")
    for name in sides:
        memory = held(sides[name])
        yield Row(f"{prefix}_peak_{name}", memory.peak / 1e6, "MB")
        if name != "whole":
            yield Row(f"{prefix}_held_{name}", memory.waiting / 1e6, "MB")
