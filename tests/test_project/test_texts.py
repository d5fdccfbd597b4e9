"""No path of a developer's machine in any text; no module that outgrew a sitting."""

from __future__ import annotations

from pathlib import Path

import pytest

from .files import LONGEST_MODULE, ROOT, long_modules, machine_paths, project_files


def test_no_text_names_a_path_of_a_machine() -> None:
    assert machine_paths(project_files()) == []


@pytest.mark.parametrize("place", ["work", "root", "home/ada", "Users/ada"])
def test_a_planted_path_is_caught(tmp_path: Path, place: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"See\n`/{place}/main/notes.md`\n")
    assert machine_paths([page]) == [f"{page}:2: `/{place}/main/notes.md`"]


def test_a_web_address_is_no_path(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("https://example.org/work/done.html and ../root/x and /tmp/x")
    assert machine_paths([page]) == []


def test_the_files_are_found_with_and_without_git(tmp_path: Path) -> None:
    names = {path.relative_to(ROOT).as_posix() for path in project_files()}
    assert {"Makefile", ".ci/run", "book/index.md", "dualpipe_ref/schedule/ir.py"} <= names
    for name in ("a/b.py", ".ci/run", ".venv/lib/c.py", "_build/d.html", "x.egg-info/e"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in project_files(tmp_path)]
    assert found == [".ci/run", "a/b.py"]


def test_modules_stay_short() -> None:
    assert long_modules(ROOT / "dualpipe_ref") == []


def test_a_long_module_is_caught(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * (LONGEST_MODULE + 1))
    (tmp_path / "short.py").write_text("x = 1\n" * LONGEST_MODULE)
    (fault,) = long_modules(tmp_path)
    assert f"long.py: {LONGEST_MODULE + 1} lines" in fault
