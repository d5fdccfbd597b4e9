"""The make targets say what is missing instead of failing somewhere deep."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .files import ROOT

MAKEFILE = ROOT / "Makefile"
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make_with(tmp_path: Path, python: str) -> subprocess.CompletedProcess[str]:
    """`make test` in an empty checkout, with a shell script in Python's place."""
    for name in ("Makefile", "pyproject.toml", "constraints/book.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    command = ["make", "-C", str(tmp_path), "test", f"PYTHON={fake}"]
    # A make that runs these tests must not hand its own flags and variables on.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=clean
    )


@needs_make
def test_an_old_python_is_refused(tmp_path: Path) -> None:
    old = 'case "$1" in --version) echo Python 3.10.13;; *) exit 1;; esac'
    result = make_with(tmp_path, old)
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed; found: Python 3.10.13" in result.stdout


@needs_make
def test_a_missing_venv_module_is_named(tmp_path: Path) -> None:
    result = make_with(tmp_path, 'case "$1" in -m) exit 1;; esac')
    assert result.returncode != 0
    assert "apt install python3-venv" in result.stdout
    assert not (tmp_path / ".venv/.python").exists()


@needs_make
def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), flags=re.MULTILINE)
    command = ["make", "-C", str(ROOT), "--no-print-directory"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == phony.split()


def test_warnings_are_errors_in_the_book() -> None:
    assert re.search(r"jupyter-book build .* -W -n", MAKEFILE.read_text())


def test_ci_runs_targets_that_exist() -> None:
    run = ROOT / ".ci/run"
    assert os.access(run, os.X_OK)
    targets = re.findall(r"^make ([\w-]+)", run.read_text(), flags=re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE.read_text(), flags=re.MULTILINE)
