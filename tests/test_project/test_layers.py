"""A folder of the package imports only from folders below it; the core needs Python alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .files import ROOT
from .layers import FOLDERS, foreign_imports, imports_of, upward_imports

PACKAGE = ROOT / "dualpipe_ref"
HEAVY = ("torch", "numba", "numpy", "matplotlib", "IPython")


def planted(tmp_path: Path, file: str, code: str) -> Path:
    """A package that holds every folder of the order and one file with a fault."""
    package = tmp_path / "dualpipe_ref"
    for folder in FOLDERS:
        (package / folder).mkdir(parents=True)
    for name in ("__init__.py", "cli.py", "doctor.py", "report.py", "schedule_commands.py"):
        (package / name).touch()
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    return package


def test_no_folder_imports_from_above() -> None:
    assert upward_imports(PACKAGE) == []


def test_the_core_is_loaded_with_the_standard_library_alone() -> None:
    assert foreign_imports(PACKAGE) == []


def test_the_order_is_checked_on_real_imports() -> None:
    files = ("cli.py", "schedule_commands.py")
    modules = {found.module for file in files for found in imports_of(PACKAGE / file, PACKAGE)}
    assert "dualpipe_ref.doctor" in modules
    assert "dualpipe_ref.simulate.simulate" in modules


@pytest.mark.parametrize(
    "code",
    [
        "from dualpipe_ref.plot import palette",
        "from dualpipe_ref import cli",
        "from dualpipe_ref.report import table",
        "from ..simulate import costs",
        "def late():\n    import dualpipe_ref.runtime.executor",
        "if TYPE_CHECKING:\n    from dualpipe_ref.simulate.timeline import Timeline",
        "import_module('dualpipe_ref.simulate')",
    ],
)
def test_an_upward_import_is_caught(tmp_path: Path, code: str) -> None:
    (fault,) = upward_imports(planted(tmp_path, "schedule/planted.py", code))
    assert "schedule/planted.py:" in fault
    assert "stands above it" in fault


@pytest.mark.parametrize(
    "code",
    [
        "from dualpipe_ref.schedule.ir import Op",
        "from . import costs",
        "from dualpipe_ref import __version__",
        "text = 'dualpipe_ref.plot is a folder'",
    ],
)
def test_an_import_from_below_is_allowed(tmp_path: Path, code: str) -> None:
    assert upward_imports(planted(tmp_path, "simulate/planted.py", code)) == []


def test_a_folder_without_a_place_is_caught(tmp_path: Path) -> None:
    (fault,) = upward_imports(planted(tmp_path, "cellar/planted.py", ""))
    assert "folder cellar has no place" in fault


@pytest.mark.parametrize("file", ["schedule/planted.py", "cli.py", "doctor.py"])
def test_a_foreign_import_is_caught(tmp_path: Path, file: str) -> None:
    (fault,) = foreign_imports(planted(tmp_path, file, "try:\n    import numpy.linalg\nfinally: 0"))
    assert fault.endswith(f"{file}:2: imports numpy.linalg as it is loaded")


def test_a_foreign_import_inside_a_function_is_allowed(tmp_path: Path) -> None:
    code = "def late():\n    import torch\nif TYPE_CHECKING:\n    import numpy"
    assert foreign_imports(planted(tmp_path, "cli.py", code)) == []


def bare_python(code: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run code with no installed package in reach: only the standard library and the checkout."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); {code}"
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_core_runs_on_a_bare_python() -> None:
    names = "dualpipe_ref, dualpipe_ref.schedule, dualpipe_ref.simulate, dualpipe_ref.comm.protocol"
    command = "from dualpipe_ref.cli import main; import dualpipe_ref.doctor"
    result = bare_python(f"import {names}; {command}; print('loaded')")
    assert result.stdout == "loaded\n", result.stderr


def test_a_bare_python_reaches_no_installed_package(tmp_path: Path) -> None:
    package = planted(tmp_path, "__init__.py", "import pytest")
    result = bare_python("import dualpipe_ref", package.parent)
    assert "No module named 'pytest'" in result.stderr


def test_loading_the_core_loads_nothing_heavy() -> None:
    """Where these packages are installed, they still stay out."""
    modules = "dualpipe_ref, dualpipe_ref.schedule, dualpipe_ref.simulate, dualpipe_ref.cli"
    code = f"import sys, {modules}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout == "[]\n"
