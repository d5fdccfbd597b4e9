"""The tables and maps of chapter 12: from the files of a dry run, and what the page says without them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.bench import hopper, hopper_contention, hopper_kernels
from dualpipe_ref.bench.hopper import SECTIONS
from dualpipe_ref.bench.hopper_sections import Kept, Section, Task
from dualpipe_ref.hopper.table import (
    BESIDE_HEAD,
    UNRESERVED_HEAD,
    WAYS_HEAD,
    beside_lines,
    maps,
    unreserved_lines,
    way_lines,
)
from dualpipe_ref.plot import measured
from dualpipe_ref.plot.measured import Results, results

PAGE = Path(__file__).parents[2] / "book" / "ch12_borrowed_sms.md"
WAYS = ["green contexts", "owned shared memory", "plain streams"]


def _first_overlap(machine: Any, kept: Kept) -> Iterator[Task]:
    return islice(hopper_kernels.overlap(machine, kept), 1)


def _first_contention(machine: Any, kept: Kept) -> Iterator[Task]:
    return islice(hopper_contention.contention(machine, kept), 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a dry run of the first sections, the first overlap and the first grid that reserves nothing."""
    found = tmp_path_factory.mktemp("results")
    sections = (
        *SECTIONS[:3],
        Section("overlap", 150, _first_overlap),
        Section("contention", 35, _first_contention),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hopper, "SECTIONS", sections)
        assert hopper.main(str(found / "hopper.json"), dry_run=True) == 0
    return found


def test_each_way_has_a_row_with_what_its_blocks_wrote_down(folder: Path) -> None:
    lines = list(way_lines(results("hopper", folder)))
    assert all(len(line) == len(WAYS_HEAD) for line in lines)
    asked = [line[:-1] for line in lines if str(line[0]).endswith("only ask")]
    assert asked == [
        (f"{WAYS[0]}: blocks that only ask", "20", "112", "0", "0", "0"),
        (f"{WAYS[1]}: blocks that only ask", "20", "112", "0", "0", "0"),
        (f"{WAYS[2]}: blocks that only ask", "0", "112", "20", "0", "20"),
    ]
    kernels = [str(line[0]) for line in lines if not str(line[0]).endswith("only ask")]
    assert kernels == [f"{way}: {phase}" for way in WAYS for phase in ("dispatch", "combine")]


def test_an_overlap_has_a_row(folder: Path) -> None:
    found = results("hopper", folder)
    ((name, given, tax, explained, *exposed),) = beside_lines(found)
    assert name == "direct, 20, green contexts"
    assert given == "20"
    assert tax == found.value("overlap_direct_20_sms_green_contexts_tax")
    assert explained == pytest.approx(132 / 112, rel=1e-3)
    assert [one.endswith(" %") for one in exposed] == [True, True]
    assert len(BESIDE_HEAD) == 6


def test_grids_that_reserve_nothing_have_a_row(folder: Path) -> None:
    found = results("hopper", folder)
    lines = list(unreserved_lines(found))
    assert [line[0] for line in lines] == ["20, polling", "20, copying"]
    for line in lines:
        assert len(line) == len(UNRESERVED_HEAD)
        assert line[2] == pytest.approx(132 / 112, rel=1e-3)
    assert lines[0][3] == found.value("unreserved_polling_20_blocks_told")


def test_the_maps_have_the_roles_of_all_sms(folder: Path) -> None:
    found = maps(results("hopper_maps", folder))
    assert {len(roles) for roles in found.values()} == {132}
    assert [found[way].count("both") for way in WAYS] == [0, 0, 20]
    # Those of the kernels themselves, which a page shows.
    for way in WAYS:
        for phase in ("dispatch", "combine"):
            roles = found[f"{way} {phase}"]
            assert (roles.count("both") > 0) == (way == "plain streams")
            assert roles.count("both") + roles.count("communication") > 0


def test_without_files_there_are_no_rows(tmp_path: Path) -> None:
    nothing = results("hopper", tmp_path)
    assert [*way_lines(nothing), *beside_lines(nothing), *unreserved_lines(nothing)] == []
    assert maps(nothing) == {}
    assert maps(Results()) == {}


def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the page's cells with the bench show when results lie in `folder`."""
    pytest.importorskip("IPython")
    monkeypatch.setitem(measured.measured.__kwdefaults__, "folder", folder)
    monkeypatch.setattr(measured.results, "__defaults__", (folder,))
    outputs: list[str] = []
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", PAGE.read_text(), re.DOTALL)
    first = "from dualpipe_ref.plot.measured import measured, results\nfrom dualpipe_ref.plot.page import show\nfrom dualpipe_ref.plot import draw_sm_map"
    names: dict[str, Any] = {}
    exec(first, names)
    chosen = [cell for cell in cells if "hopper.table" in cell]
    assert len(chosen) == 4
    for cell in chosen:
        code = re.sub(r"^:tags:.*\n", "", cell)
        code = code.replace(
            "from IPython.display import HTML, display", "from IPython.display import HTML"
        )
        names["display"] = lambda one: outputs.append(one.data)
        *lines, last = re.split(r"\n(?=measured\()", code)
        exec("\n".join(lines) if lines else last, names)
        if lines:
            outputs.append(eval(last, names).data)
    return "".join(outputs)


def test_the_page_shows_what_was_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = shown(folder, monkeypatch)
    assert page.count("<table") == 3
    in_tables, in_maps = 3, 3 * 2  # maps are there in two themes
    assert page.count("tier: dry run in the emulator") == in_tables + in_maps
    assert page.count('role="img"') == 3
    assert "not measured" not in page


def test_the_page_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = shown(tmp_path, monkeypatch)
    assert page.count("dualpipe-ref bench hopper") == 3
    assert "<strong>not measured</strong>" in page
    assert "<table" not in page
