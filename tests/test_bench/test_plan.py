"""The planner's bench: its rows at a small size, and that what it says of times is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref.bench import plan as bench
from dualpipe_ref.bench.results import meets

KEPT = Path(__file__).resolve().parents[2] / "book" / "results" / "plan.json"


def test_times_and_growth_are_rows() -> None:
    rows = {row.bench: row for row in (*bench.timed(), *bench.predicted())}
    for gpus, limit in zip((2048, 102_400), (5, 30), strict=True):
        assert rows[f"plan.seconds_{gpus}"].target == f"<= {limit}"
    assert rows["plan.simulated_102400"].value == 11
    assert rows["plan.deepseek_v3_published"].value == 180_000
    assert rows["plan.pair_blocks_of_products_published"].value == 112
    missed = [row for row in rows.values() if row.target and not meets(row.value, row.target)]
    assert all(row.why for row in missed)


def test_the_kept_results_are_those_of_this_model() -> None:
    """A prediction is arithmetic: who changes the model measures anew."""
    kept = {row["bench"]: row["value"] for row in json.loads(KEPT.read_text())}
    for row in bench.predicted():
        assert kept[row.bench] == pytest.approx(row.value, rel=1e-3, abs=1e-9), row.bench
