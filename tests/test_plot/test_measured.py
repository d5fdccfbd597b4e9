"""Tables from results files: whole, escaped, and honest where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("IPython", reason="tables of a page need IPython")

from dualpipe_ref.plot.measured import every_row, measured, results

ROW = {
    "bench": "demo.a <b> & c",
    "value": 0.123456,
    "unit": "x",
    "tier": "CPU",
    "versions": {"torch": "2.13.0"},
    "date": "2026-11-25",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.json").write_text(json.dumps([ROW, ROW | {"bench": "demo.d", "value": 7}]))
    return tmp_path


def test_rows_by_their_names(folder: Path) -> None:
    found = results("demo", folder)
    assert list(found) == ["a <b> & c", "d"]
    assert found.value("d") == 7
    with pytest.raises(KeyError):
        found.value("none")


def test_a_table_is_escaped_and_says_where_it_comes_from(folder: Path) -> None:
    text = measured("demo", ["what", "value", "unit"], every_row, "Caption <1>", folder=folder).data
    assert "Caption &lt;1&gt; (tier: CPU; torch 2.13.0; 2026-11-25)" in text
    assert "<td>a &lt;b&gt; &amp; c</td><td>0.1235</td><td>x</td>" in text
    assert "<td>d</td><td>7</td>" in text


def test_large_numbers_are_whole(folder: Path) -> None:
    assert "<td>10,310</td>" in measured("demo", ["x"], lambda _: [[10310.4]], folder=folder).data


def test_without_the_file_the_command_is_named(tmp_path: Path) -> None:
    assert "dualpipe-ref bench demo" in measured("demo", ["what"], every_row, folder=tmp_path).data
