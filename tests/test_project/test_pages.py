"""Every page is in the table of contents, and the notebook beside it is what its text gives."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dualpipe_ref.grading.skeleton import skeleton_of

from .files import ROOT
from .pages import SCRIPT, copy_of_the_book, raw_markup, toc_faults, toc_files

NOTEBOOKS = sorted([*(ROOT / "book").glob("*.ipynb"), *(ROOT / "exercises").glob("*/*.ipynb")])


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--check", "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


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


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_a_plain_notebook_can_show_every_text(notebook: Path) -> None:
    assert raw_markup(notebook) == []


@pytest.mark.parametrize(
    "text", ["see {numref}`x`", "```{note}\nx\n```", ":::{tip}\nx\n:::", "(label)=\n# Title"]
)
def test_raw_markup_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": [text]}]}))
    assert raw_markup(path)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_a_notebook_begins_with_the_installation_and_keeps_no_output(notebook: Path) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    assert "".join(cells[0]["source"]) == tool("notebooks").INSTALL
    assert "remove-cell" in cells[0]["metadata"]["tags"]
    assert all(cell.get("outputs", []) == [] for cell in cells)


@pytest.mark.parametrize("there", [True, False])
def test_the_installation_happens_only_where_the_package_is_missing(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run by a real IPython, whose %pip only writes down what it is asked for."""
    asked: list[str] = []
    shell = InteractiveShell()
    shell.register_magic_function(asked.append, magic_name="pip")
    if not there:
        monkeypatch.setitem(sys.modules, "dualpipe_ref", None)
    assert shell.run_cell(tool("notebooks").INSTALL).success
    if there:
        assert asked == []
    else:
        own, viewer = asked
        assert own.startswith("install -q --no-deps git+https://")
        assert viewer == "install -q anywidget"
        assert "torch" not in " ".join(asked)


@pytest.mark.parametrize("name", ["notebooks", "plain_markdown"])
def test_the_examples_of_the_scripts_hold(name: str) -> None:
    results = doctest.testmod(tool(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_an_exercise_becomes_a_cell_to_write_in_and_a_check() -> None:
    for path in (ROOT / "exercises").glob("*/exercise.ipynb"):
        notebook = json.loads(path.read_text())
        name = path.parent.name
        code = [
            "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"
        ]
        assert code[1].strip() == skeleton_of(path.parent / "solution.py").strip()
        assert code[2].splitlines()[-1] == f'check("{name}")'
        assert notebook["metadata"]["dualpipe_ref"] == {"exercise": name}


def tool(name: str) -> ModuleType:
    """A script of book/_tools as a module."""
    if str(SCRIPT.parent) not in sys.path:
        sys.path.append(str(SCRIPT.parent))
    return importlib.import_module(name)
