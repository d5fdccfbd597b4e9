"""Targets stand in one place: benches and results agree with it, and the status page shows every one of them."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from dualpipe_ref.bench.status import built_on, pages_table, targets_table, tiers_of
from dualpipe_ref.bench.targets import (
    NO_TARGET,
    TARGETS,
    files_without_place,
    fixed_limit,
    limit,
    standings,
    target_of,
    unmeasured,
)
from dualpipe_ref.plot.measured import RESULTS
from dualpipe_ref.schedule import InputError
from tests.test_project.files import ROOT

ROWS = [row for path in sorted(RESULTS.glob("*.json")) for row in json.loads(path.read_text())]


def unplaced(rows: list[dict[str, object]]) -> list[str]:
    """Rows whose target is not the one of bench/targets.py."""
    found = []
    for row in rows:
        target = target_of(str(row["bench"]))
        if (target is None) != (row["target"] is None):
            found.append(
                f"{row['bench']}: {row['target']} written, {target and target.limit} in the list"
            )
        elif target is not None and target.limit not in (None, row["target"]):
            found.append(f"{row['bench']}: {row['target']} written, {target.limit} in the list")
    return found


def test_every_written_target_is_in_the_list() -> None:
    assert unplaced(ROWS) == []


def test_a_target_that_is_not_in_the_list_is_named() -> None:
    row = {"bench": "schedule.ratio_to_torch", "target": ">= 10"}
    assert unplaced([row]) == []
    for planted in ({"target": ">= 9"}, {"target": None}, {"bench": "schedule.new"}):
        assert len(unplaced([row | planted])) == 1


def test_every_results_file_has_a_place() -> None:
    assert files_without_place() == []
    assert set(NO_TARGET).isdisjoint(target.file for target in TARGETS)


def test_a_new_results_file_needs_a_place(tmp_path: Path) -> None:
    (tmp_path / "planted.json").write_text("[]")
    assert files_without_place(tmp_path) == ["planted"]


def test_every_row_has_one_target() -> None:
    for row in ROWS:
        found = [target.name for target in TARGETS if re.fullmatch(target.rows, row["bench"])]
        assert len(found) <= 1, row["bench"]


def test_what_is_not_measured_says_why_and_what_is_measured_has_rows() -> None:
    for one in standings():
        assert one.rows or one.target.unmeasured, one.target.name
        assert one.target.limit or one.target.own


def test_what_has_a_results_file_is_no_longer_listed_as_not_measured(tmp_path: Path) -> None:
    before = unmeasured(tmp_path)
    (tmp_path / "hopper.json").write_text("[]")
    after = unmeasured(tmp_path)
    assert after
    assert {one.file for one in before} - {one.file for one in after} == {"hopper"}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Results in which torch is suddenly nearly as fast, and nothing else."""
    shutil.copy(RESULTS / "schedule.json", tmp_path)
    path = tmp_path / "schedule.json"
    rows = json.loads(path.read_text())
    for row in rows:
        if row["bench"] == "schedule.ratio_to_torch":
            row |= {"value": 1.5, "why": "planted"}
    path.write_text(json.dumps(rows))
    return tmp_path


def test_a_missed_target_is_shown_as_missed(planted: Path) -> None:
    told = {one.target.rows: one for one in standings(planted)}
    assert told[r"schedule\.ratio_to_torch"].verdict == "missed"
    assert told[r"schedule\.growth_exponent"].verdict == "met"
    assert told[r"train\.minutes"].verdict == "not measured"
    text = targets_table(planted)
    assert text.count("<strong>missed</strong>") == 1
    assert "1.5: planted" in text


def test_of_several_rows_the_one_furthest_beyond_its_limit_is_shown() -> None:
    one = next(one for one in standings() if one.target.rows.startswith("split"))
    assert one.worst is not None
    assert one.worst[1]["value"] == max(row["value"] for row in one.rows.values())


def test_the_table_has_every_target_and_every_file() -> None:
    text = targets_table()
    kept = [name for name in NO_TARGET if (RESULTS / f"{name}.json").exists()]
    assert text.count("<tr>") == 1 + len(TARGETS) + len(unmeasured()) + len(kept)
    for path in RESULTS.glob("*.json"):
        assert f"results/<wbr>{path.name}" in text


def test_benches_write_no_limit_of_their_own() -> None:
    """But for those whose limit depends on what they find."""
    for path in (ROOT / "dualpipe_ref" / "bench").glob("*.py"):
        if path.name in ("results.py", "targets.py"):
            continue
        texts = (
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        assert not [text for text in texts if re.fullmatch(r"[<>]= [0-9.]+", text)], path.name


def test_the_limits_of_bench_hopper_are_those_of_its_issue() -> None:
    for phase in ("dispatch", "combine"):
        assert limit(f"hopper.direct_2x4_{phase}_total") == ">= 0.85"
        assert limit(f"hopper.queues_2x4_{phase}_total") == ">= 0.7"
        name = f"hopper.overlap_direct_20_sms_green_contexts_{phase}_exposed"
        assert limit(name) == "<= 0.037"
        assert fixed_limit(name.replace("20", "24")) is None
        assert limit(f"hopper.map_green_contexts_{phase}_both") == "<= 0"
        assert fixed_limit(f"hopper.map_plain_streams_{phase}_both") is None
    assert limit("hopper.matmul_waves_112_sms") == ">= 10"


def test_a_limit_that_nobody_set() -> None:
    with pytest.raises(InputError, match="fixed target"):
        limit("schedule.planted")


def test_tiers_come_from_words_and_from_files(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('(Browser tier.)\nmeasured("schedule", ["x"], every_row)\n')
    assert tiers_of(page).tiers == ("browser", "CPU")
    assert tiers_of(page).reads == ("schedule",)
    page.write_text("Nothing here.")
    assert tiers_of(page) == ("page", (), ())


def test_every_page_is_in_the_table() -> None:
    text = pages_table()
    for page in (ROOT / "book").glob("*.md"):
        assert f'href="{page.stem}.html"' in text


def test_versions_are_those_of_this_python() -> None:
    assert built_on()["dualpipe_ref"] != "not installed"
