"""All eight schedules on real processes give the unparallel run's losses and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest

from dualpipe_ref.schedule import KINDS
from tests.ranks import run_ranks

WORKER = "tests.test_runtime.worker"


@pytest.mark.parametrize(
    ("ranks", "expert_ranks"),
    [
        (2, 1),
        (4, 1),
        (2, 2),
        pytest.param(4, 2, marks=pytest.mark.slow),
        pytest.param(8, 1, marks=pytest.mark.slow),
    ],
)
def test_losses_and_gradients_are_those_of_one_process(
    ranks: int, expert_ranks: int, tmp_path: Path
) -> None:
    arguments = (ranks, expert_ranks, tmp_path / "store")
    for process, ended in enumerate(run_ranks(WORKER, ranks * expert_ranks, *arguments)):
        assert ended.returncode == 0, f"process {process}: {ended.stdout} {ended.stderr[-2000:]}"
        assert ended.stdout.count("agrees") == len(KINDS)


@pytest.mark.parametrize(
    ("fault", "expert_ranks"), [("message", 1), ("replicas", 1), ("shared", 2)]
)
def test_a_fault_is_seen(fault: str, expert_ranks: int, tmp_path: Path) -> None:
    """A message that lost its content; copies, or parts that two processes hold, whose gradients are not added."""
    ended = run_ranks(WORKER, 2 * expert_ranks, 2, expert_ranks, tmp_path / "store", fault)
    assert any("differs" in one.stderr for one in ended)
