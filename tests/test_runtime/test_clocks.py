"""Planted skews of clocks are found again within the error that is said."""

from __future__ import annotations

import json
from pathlib import Path

from dualpipe_ref.runtime.recorded import read_run
from tests.ranks import run_ranks
from tests.test_runtime.recorded_worker import SECONDS, skew

WORKER = "tests.test_runtime.recorded_worker"
RANKS = 3


def test_planted_skews_are_found_within_half_of_the_shortest_round_trip(tmp_path: Path) -> None:
    ended = run_ranks(WORKER, RANKS, RANKS, tmp_path, "timed", "1f1b", 4, 1)
    assert [one.returncode for one in ended] == [0] * RANKS, ended
    offsets = json.loads(ended[0].stdout.splitlines()[0])["offsets"]
    assert len(offsets) == RANKS
    assert offsets[0] == [0, 0]
    for rank, (offset, error) in enumerate(offsets[1:], 1):
        # One machine has one monotonic clock, so the planted skew is all there is.
        assert (
            abs(offset - skew(rank)) <= error < SECONDS / 10
        )  # under a millisecond, but for other work
    errors = read_run(tmp_path / "run.json").clock_errors
    assert len(errors) == RANKS
    assert errors[0] == 0
