"""The protocol's bench on a small case: its rows, and that they say what was counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref.bench import protocol
from dualpipe_ref.comm.protocol import explore, ring_world


def test_the_bench_runs_on_a_small_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SLOTS", (1, 2))
    monkeypatch.setattr(protocol, "SEARCHED", ((2, 1),))
    monkeypatch.setattr(protocol, "caught_rows", lambda: iter(()))
    out = tmp_path / "protocol.json"
    assert protocol.main(str(out)) == 0
    found = json.loads(out.read_text())
    rows = {row["bench"]: row["value"] for row in found}
    states = explore(ring_world(2, 1), is_weak=True).states
    assert found[0]["bench"] == "protocol.search_nvlink_2_1"
    assert found[0]["unit"] == f"s of one core for {states} states"
    assert rows["protocol.chance_no_credit_1"] == pytest.approx(0.9729)
    assert 0 < rows["protocol.chance_early_credit_2"] < rows["protocol.chance_no_credit_2"]


def test_each_mistake_has_a_row_of_its_own() -> None:
    names = [row.bench for row in protocol.caught_rows(schedules=1)]
    assert len(set(names)) == len(names) == 23
