"""Experts shared between two real processes give what one process gives."""

from __future__ import annotations

from pathlib import Path

from tests.ranks import run_ranks

WORKER = "tests.test_model.worker"


def test_loss_gradients_and_loads_are_those_of_one_process(tmp_path: Path) -> None:
    for rank, ended in enumerate(run_ranks(WORKER, 2, tmp_path / "store")):
        assert ended.returncode == 0, f"rank {rank}: {ended.stderr[-2000:]}"
        assert "agree" in ended.stdout


def test_gradients_that_are_not_summed_are_seen(tmp_path: Path) -> None:
    """The planted fault: what both ranks hold must be summed over both."""
    ended = run_ranks(WORKER, 2, tmp_path / "store", "unsummed")
    assert any("differ by" in one.stderr for one in ended)
