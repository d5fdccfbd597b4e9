"""Results files: their rows, their targets, and the ones that this project keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref.bench import schedule as bench_schedule
from dualpipe_ref.bench.results import Row, meets, record

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"
FIELDS = {"bench", "value", "unit", "target", "tier", "versions", "commit", "date"}


def faults(rows: list[dict[str, object]], name: str) -> list[str]:
    """What is wrong with the rows of a results file."""
    found = []
    for row in rows:
        if missing := FIELDS - row.keys():
            found.append(f"{row.get('bench')} lacks {sorted(missing)}")
        elif str(row["bench"]).split(".")[0] != name:
            found.append(f"{row['bench']} is not of bench {name}")
        elif not meets(row["value"], row["target"]) and not row.get("why"):  # type: ignore[arg-type]
            found.append(f"{row['bench']} misses its target and does not say why")
    return found


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_kept_results_are_whole(path: Path) -> None:
    rows = json.loads(path.read_text())
    assert rows
    assert faults(rows, path.stem) == []


def test_there_are_results() -> None:
    assert (RESULTS / "schedule.json").exists()


def test_a_missed_target_stays_and_says_why(tmp_path: Path) -> None:
    rows = [Row("demo.fast", 12, "x", ">= 10"), Row("demo.slow", 3, "x", ">= 10", "one core")]
    path = record("demo", "CPU", rows, ["pytest"], str(tmp_path / "demo.json"))
    written = json.loads(path.read_text())
    assert "why" not in written[0]
    assert written[1]["why"] == "one core"
    assert faults(written, "demo") == []
    assert written[0]["versions"]["pytest"]


def test_planted_faults_are_found() -> None:
    row = dict.fromkeys(FIELDS, "x") | {"bench": "demo.a", "value": 1, "target": ">= 2"}
    assert faults([row], "demo") == ["demo.a misses its target and does not say why"]
    assert faults([row | {"why": "y"}], "other") == ["demo.a is not of bench other"]
    assert faults([{"bench": "demo.a"}], "demo")


def test_a_target_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="'>= number'"):
        meets(1, "about 3")


def test_the_bench_runs_on_a_small_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its rows, at sizes that take no time; what they measure is not asserted."""
    monkeypatch.setattr(bench_schedule, "RANKS", 2)
    monkeypatch.setattr(bench_schedule, "MICROBATCHES", 8)
    monkeypatch.setattr(bench_schedule, "GROWTH_RANKS", 2)
    monkeypatch.setattr(bench_schedule, "GROWTH_REPEATS", 1)
    monkeypatch.setattr(bench_schedule, "GROWTH_SIZES", (8, 16, 32, 64))
    monkeypatch.setattr(bench_schedule, "LARGE", ("dualpipe", 2, 8))
    out = tmp_path / "schedule.json"
    assert bench_schedule.main(str(out)) == 0
    names = {row["bench"] for row in json.loads(out.read_text())}
    assert {"schedule.ratio_to_torch", "schedule.growth_exponent"} <= names
    assert "schedule.ratio_to_torch" in capsys.readouterr().out
