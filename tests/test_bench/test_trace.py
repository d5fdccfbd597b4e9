"""The trace bench on small cases: every row is there; what they measure is not asserted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dualpipe_ref.bench import trace
from dualpipe_ref.bench.processes import BenchError, run_bench
from dualpipe_ref.bench.results import Row


def test_a_trained_run_is_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = "--nproc 2 --microbatches 4 --steps 6 --hidden 16 --tokens 64 --sequences 4 --warmup 2"
    monkeypatch.setattr(trace, "SIZES", sizes.split())
    off, makespan, steady = trace.trained_rows(tmp_path, ["1f1b"])
    assert (off.bench, off.target) == ("trace.trained_p2_1f1b", "<= 0.05")
    assert off.value >= 0
    assert makespan.value > 0
    assert steady.value > 0


def test_timed_devices_are_told_with_their_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "UNIT", 5e6)
    off, recording = trace.timed_rows(tmp_path, ["1f1b:4"], ranks=2)
    assert off.bench == "trace.timed_p2_1f1b_4"
    assert off.why
    assert off.why.count("%") == trace.STEPS
    assert 0 < recording.value < 1


def test_a_bench_whose_processes_fail_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trace.json"
    errors: list[BenchError] = []

    def rows() -> Iterator[Row]:
        try:
            yield from trace.trained_rows(tmp_path, ["no such kind"])
        except BenchError as error:
            errors.append(error)
            raise

    assert run_bench("trace", rows, str(out)) == errors[0].outcome.status != 0
    assert not out.exists()
    assert "dualpipe-ref: rank" in capfd.readouterr().err
