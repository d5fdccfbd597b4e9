"""Every schedule on timed devices, processes and messages being real, takes as long as the simulator says.

A test of wall-clock time: within 2 % in the best of three attempts. Where the system lets them, the processes ask to be
woken first, so that a loaded machine passes too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.bench.timed_worker import run_path
from dualpipe_ref.bench.trace import CASES, UNIT, timed
from dualpipe_ref.runtime.recorded import read_run

pytestmark = pytest.mark.alone
ATTEMPTS = 3
FOUR = [case.replace(":20", ":8").replace(":24", ":8") for case in CASES]


def best(one: dict[str, Any]) -> float:
    return min(map(abs, one["differences"]))


@pytest.mark.parametrize(
    ("ranks", "cases"), [(4, FOUR), pytest.param(8, CASES, marks=pytest.mark.slow)]
)
def test_a_step_takes_the_time_of_the_simulator(
    ranks: int, cases: list[str], tmp_path: Path
) -> None:
    found = timed(tmp_path, cases, ranks, UNIT, ATTEMPTS, good=0.02)
    assert [one["case"] for one in found] == list(cases)
    for one in found:
        print(f"{one['case']:20} {[f'{100 * part:+.2f} %' for part in one['differences']]}")
        assert best(one) <= 0.02, one
        assert one["order"] == []
        assert one["recording"] < 0.02
        measured, wanted = one["bubbles"]
        assert measured == pytest.approx(wanted, abs=0.02)
        run = read_run(run_path(tmp_path, one["case"]))
        assert len(run.timelines()) == len(one["differences"])


def test_a_rank_that_is_slow_is_seen(tmp_path: Path) -> None:
    """The planted fault: rank 1 takes twice its costs."""
    cases, worker = ["1f1b:8", "dualpipe:8:2.2"], "tests.test_runtime.slow_timed_worker"
    for one in timed(tmp_path, cases, 4, UNIT / 4, ATTEMPTS, good=0.02, worker=worker):
        assert len(one["differences"]) == ATTEMPTS
        assert best(one) > 0.1, one
