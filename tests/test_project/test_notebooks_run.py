"""Every notebook runs from top to bottom where a hosted runtime would run it: not in the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .files import ROOT

CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
STARTS = re.compile(r"import subprocess|from dualpipe_ref\.(train\.launch|bench\.trace) import")
EXERCISES = sorted((ROOT / "exercises").glob("*/exercise.ipynb"))


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute it in this folder."""
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()


def told(cells: list[nbformat.NotebookNode]) -> str:
    """The text of all outputs."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs
    )


def starts_processes(path: Path) -> bool:
    """Such pages take up to half a minute each, and `make book` has just run them."""
    return bool(STARTS.search(path.read_text(encoding="utf-8")))


def test_pages_that_start_processes_are_few_and_known() -> None:
    """So that no other page is put aside with them by a word of its text."""
    found = {path.stem.partition("_")[0] for path in CHAPTERS if starts_processes(path)}
    assert found == {"ch04", "ch06", "ch07", "ch15"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * starts_processes(path))
        for path in CHAPTERS
    ],
)
def test_a_chapter_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    run(nbformat.read(path, as_version=4), tmp_path)


def test_a_failing_cell_is_found(tmp_path: Path) -> None:
    notebook = nbformat.read(CHAPTERS[0], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(notebook, tmp_path)


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.parent.name)
def test_an_exercise_is_graded_in_its_notebook(path: Path, tmp_path: Path) -> None:
    """As it comes it has no points; when a reader has put the solution in the cell of the skeleton it has all."""
    notebook = nbformat.read(path, as_version=4)
    answered = nbformat.read(path, as_version=4)
    answered.cells[2].source = (path.parent / "solution.py").read_text(encoding="utf-8")
    count = len(notebook.cells)
    # In the same kernel, as a reader would; another one takes seconds to start.
    notebook.cells += answered.cells
    run(notebook, tmp_path)
    assert re.search(r"\b0 of 10 points", told(notebook.cells[:count]))
    assert "10 of 10 points" in told(notebook.cells[count:])
