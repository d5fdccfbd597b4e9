"""Every page is in the table of contents, and the notebook beside it is what its text gives."""

from __future__ import annotations

import doctest
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from .files import ROOT
from .pages import SCRIPT, copy_of_the_book, raw_markup, toc_faults, toc_files

NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--check", "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_table_of_contents_and_the_pages_agree() -> None:
    assert toc_faults(ROOT) == []


def test_a_missing_and_a_forgotten_page_are_named(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book/index.md").touch()
    (tmp_path / "book/forgotten.md").touch()
    parts = (
        "root: book/index\nparts:\n- chapters:\n  - file: a\n    sections:\n    - file: book/lost"
    )
    (tmp_path / "_toc.yml").write_text(parts)
    assert toc_files(tmp_path / "_toc.yml") == ["book/index", "a", "book/lost"]
    missing = ["_toc.yml: no page a.md", "_toc.yml: no page book/lost.md"]
    assert toc_faults(tmp_path) == [*missing, "book/forgotten.md is not in _toc.yml"]


def test_the_notebooks_are_fresh() -> None:
    result = check(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_stale_and_missing_notebooks_are_named(tmp_path: Path) -> None:
    """A page that changed, code that it quotes, and a notebook that was never written."""
    root = copy_of_the_book(tmp_path / "checkout")
    page = root / "book/ch03_gpipe_1f1b.md"
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    quoted = root / "dualpipe_ref/schedule/messages.py"
    quoted.write_text(quoted.read_text().replace("\n    return ", "\n    # planted\n    return "))
    (root / "book/index.ipynb").unlink()
    result = check(root)
    assert result.returncode == 1, result.stderr
    for name in ("ch03_gpipe_1f1b", "ch02_language", "index"):
        assert f"stale: book/{name}.ipynb" in result.stdout
    assert "book/ch09_dualpipe.ipynb" not in result.stdout


def test_the_copy_is_fresh_before_a_fault_is_planted(tmp_path: Path) -> None:
    result = check(copy_of_the_book(tmp_path / "checkout"))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_plain_notebook_can_show_every_text(notebook: Path) -> None:
    assert raw_markup(notebook) == []


@pytest.mark.parametrize(
    "text", ["see {numref}`x`", "```{note}\nx\n```", ":::{tip}\nx\n:::", "(label)=\n# Title"]
)
def test_raw_markup_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": [text]}]}))
    assert raw_markup(path)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_installs_the_package_only_where_it_is_missing(notebook: Path) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    first = "".join(cells[0]["source"])
    assert first.index("try:\n    import dualpipe_ref") < first.index("%pip install -q --no-deps")
    assert "remove-cell" in cells[0]["metadata"]["tags"]
    assert all(cell.get("outputs", []) == [] for cell in cells)


def test_the_examples_of_the_script_hold() -> None:
    spec = importlib.util.spec_from_file_location("notebooks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
