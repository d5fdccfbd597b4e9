"""Every schedule on timed devices, processes and messages being real, takes as long as the simulator says.

A test of wall-clock time: within 2 % in the best of three attempts. Where the system lets them, the processes ask to be
woken first, so that a loaded machine passes too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.runtime.recorded import read_run
from tests.ranks import run_ranks

WORKER = "tests.test_runtime.timed_worker"
UNIT = 40e6  # ns: a message takes about 0.5 ms of a loaded machine, and some 15 stand one behind another
EIGHT = (
    "gpipe:20 1f1b:20 interleaved:24 zb-h1:20 zb-v:20 chimera:24 dualpipe:20 dualpipev:20"
    " dualpipe:20:2.2 dualpipev:20:2.2"
)
FOUR = (
    "gpipe:8 1f1b:8 interleaved:8 zb-h1:8 zb-v:8 chimera:8 dualpipe:8 dualpipev:8"
    " dualpipe:8:2.2 dualpipev:8:2.2"
)


def said(
    ranks: int, folder: Path, cases: str, unit: float, fault: str = ""
) -> list[dict[str, Any]]:
    """What rank 0 says of each case."""
    ended = run_ranks(WORKER, ranks, ranks, folder, unit, ",".join(cases.split()), fault)
    for rank, one in enumerate(ended):
        assert one.returncode == 0, f"rank {rank}: {one.stderr[-2000:]}"
    return [json.loads(line) for line in ended[0].stdout.splitlines()]


def best(one: dict[str, Any]) -> float:
    return min(map(abs, one["differences"]))


@pytest.mark.parametrize(
    ("ranks", "cases"), [(4, FOUR), pytest.param(8, EIGHT, marks=pytest.mark.slow)]
)
def test_a_step_takes_the_time_of_the_simulator(ranks: int, cases: str, tmp_path: Path) -> None:
    found = said(ranks, tmp_path, cases, UNIT)
    assert [one["case"] for one in found] == cases.split()
    for one in found:
        print(f"{one['case']:20} {[f'{100 * part:+.2f} %' for part in one['differences']]}")
        assert best(one) <= 0.02, one
        assert one["order"] == []
        assert one["recording"] < 0.02
        measured, wanted = one["bubbles"]
        assert measured == pytest.approx(wanted, abs=0.02)
        run = read_run(tmp_path / f"{one['case'].replace(':', '-')}.json")
        assert len(run.timelines()) == len(one["differences"])


def test_a_rank_that_is_slow_is_seen(tmp_path: Path) -> None:
    """The planted fault: rank 1 takes twice its costs."""
    for one in said(4, tmp_path, "1f1b:8 dualpipe:8:2.2", UNIT / 4, "slow"):
        assert len(one["differences"]) == 3
        assert best(one) > 0.1, one
