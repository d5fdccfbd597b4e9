"""All eight schedules on real processes leave, after three steps, what the unparallel run leaves."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dualpipe_ref.schedule import KINDS
from tests.ranks import run_ranks
from tests.test_runtime.model import unparallel

WORKER = "tests.test_runtime.worker"
BOTH_WAYS = ("chimera", "dualpipe")
WITH_WEIGHTS = ("zb-h1", "zb-v", "dualpipe", "dualpipev")


@cache
def wanted(layers: int, directions: int, ranks: int, expert_ranks: int) -> dict[str, Any]:
    """What one process leaves; the same for every fault."""
    return unparallel(layers, directions, 2 * ranks, expert_ranks)


def outcome(
    ranks: int, expert_ranks: int, folder: Path, kinds: tuple[str, ...], fault: str = ""
) -> dict[str, list[str]]:
    """What each process says of each kind."""
    layers = 2 * ranks
    for directions in (1, 2):
        torch.save(
            wanted(layers, directions, ranks, expert_ranks), folder / f"wanted{directions}.pt"
        )
    arguments = (ranks, expert_ranks, layers, folder, ",".join(kinds), fault)
    said: dict[str, list[str]] = {kind: [] for kind in kinds}
    for process, ended in enumerate(run_ranks(WORKER, ranks * expert_ranks, *arguments)):
        assert ended.returncode == 0, f"process {process}: {ended.stdout} {ended.stderr[-2000:]}"
        for line in ended.stdout.splitlines():
            said[line.split()[0]].append(line)
    return said


@pytest.mark.parametrize(
    ("ranks", "expert_ranks"),
    [
        (2, 1),
        (4, 1),
        (2, 2),
        (4, 2),
        pytest.param(8, 1, marks=pytest.mark.slow),
        pytest.param(8, 2, marks=pytest.mark.slow),
    ],
)
def test_three_steps_are_those_of_one_process(
    ranks: int, expert_ranks: int, tmp_path: Path
) -> None:
    for kind, lines in outcome(ranks, expert_ranks, tmp_path, tuple(KINDS)).items():
        assert lines == [f"{kind} agrees"] * ranks * expert_ranks


@pytest.mark.parametrize(
    ("fault", "kinds", "expert_ranks"),
    [
        ("message", tuple(KINDS), 1),
        ("weights", WITH_WEIGHTS, 1),
        ("replicas", BOTH_WAYS, 1),
        ("routing", ("1f1b", "dualpipe"), 1),
        ("random", ("1f1b", "dualpipe"), 1),
        ("shared", ("1f1b", "dualpipe"), 2),
    ],
)
def test_a_fault_is_seen(
    fault: str, kinds: tuple[str, ...], expert_ranks: int, tmp_path: Path
) -> None:
    for kind, lines in outcome(2, expert_ranks, tmp_path, kinds, fault).items():
        assert any("differs" in line for line in lines), f"{kind}: {fault} is not seen"
