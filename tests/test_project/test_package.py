"""The installed package has every module, the viewer's scripts and the exercises, without answers that give them away."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

from .files import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def is_shipped(file: Path) -> bool:
    """Whether setuptools takes this file: a module of a listed package, or data that a pattern names."""
    for package in SETTINGS["packages"]:
        folder = SETTINGS["package-dir"].get(package, package.replace(".", "/"))
        if file.suffix == ".py" and file.parent == Path(folder):
            return True
        if file.is_relative_to(folder):
            inside = file.relative_to(folder)
            patterns = SETTINGS["package-data"].get(package, ())
            # As setuptools does: a star does not cross a folder.
            if any(
                len(Path(pattern).parts) == len(inside.parts) and fnmatch(str(inside), pattern)
                for pattern in patterns
            ):
                return True
    return False


def files_of(folder: str) -> list[Path]:
    endings = (".py", ".js", ".md", ".ipynb", ".typed", ".json")
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*"))
    return [path for path in found if path.suffix in endings and "__pycache__" not in path.parts]


def test_all_of_the_package_is_shipped() -> None:
    assert [file for file in files_of("dualpipe_ref") if not is_shipped(file)] == []


def test_exercises_are_shipped_without_their_wrong_answers() -> None:
    for file in files_of("exercises"):
        wanted = "wrong" not in file.parts and file != Path("exercises/README.md")
        assert is_shipped(file) == wanted, file


def test_a_file_that_no_pattern_names_would_be_missed() -> None:
    assert not is_shipped(Path("dualpipe_ref/new_folder/module.py"))
    assert not is_shipped(Path("dualpipe_ref/plot/web/deeper/viewer.js"))
