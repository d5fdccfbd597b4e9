"""All eight schedules on real processes give the unparallel run's losses and gradients, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dualpipe_ref.schedule import KINDS
from tests.ranks import run_ranks

WORKER = "tests.test_runtime.worker"


@pytest.mark.parametrize("ranks", [2, 4])
def test_losses_and_gradients_are_those_of_one_process(ranks: int, tmp_path: Path) -> None:
    for rank, ended in enumerate(run_ranks(WORKER, ranks, ranks, tmp_path / "store")):
        assert ended.returncode == 0, f"rank {rank}: {ended.stdout} {ended.stderr[-2000:]}"
        assert ended.stdout.count("agrees") == len(KINDS)


@pytest.mark.parametrize("fault", ["message", "replicas"])
def test_a_fault_is_seen(fault: str, tmp_path: Path) -> None:
    """A message that lost its content; copies of a stage whose gradients are not added."""
    ended = run_ranks(WORKER, 2, 2, tmp_path / "store", fault)
    assert any("differs" in one.stderr for one in ended)
