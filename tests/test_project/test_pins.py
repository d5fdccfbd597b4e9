"""Every direct dependency has a pin in each constraints file that serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .files import ROOT
from .pins import LOCK, SERVED, direct_dependencies, missing_from_lock, pin_faults, pinned

PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "constraints"


@pytest.mark.parametrize(("name", "extras"), SERVED.items())
def test_direct_dependencies_are_pinned(name: str, extras: tuple[str, ...]) -> None:
    assert pin_faults(PYPROJECT, CONSTRAINTS / name, extras) == []


def test_every_constraints_file_serves_something() -> None:
    assert {path.name for path in CONSTRAINTS.glob("*.txt")} == set(SERVED)


def test_the_lock_is_complete() -> None:
    """Found when ipykernel was changed by hand: the older one needs nest-asyncio, which floated."""
    assert missing_from_lock(PYPROJECT, CONSTRAINTS / "book.txt", SERVED["book.txt"]) == []


def test_a_gap_in_the_lock_is_named(tmp_path: Path) -> None:
    lines = (CONSTRAINTS / "book.txt").read_text().splitlines()
    (tmp_path / "book.txt").write_text(
        "\n".join(x for x in lines if not x.startswith("MarkupSafe"))
    )
    assert missing_from_lock(PYPROJECT, tmp_path / "book.txt", ("book",)) == ["markupsafe"]


def test_the_core_depends_on_nothing() -> None:
    assert "\ndependencies = []\n" in PYPROJECT.read_text()


def test_extras_include_one_another() -> None:
    names = {requirement.name for requirement in direct_dependencies(PYPROJECT, "dev")}
    assert {"pytest", "matplotlib", "torch"} <= names


def test_the_gpu_pins_hold_numpy_below_what_numba_cuda_fails_with() -> None:
    """Found on numba-cuda 0.30.4: NumPy 2.5 has no row_stack, the first compilation fails."""
    for name in ("gpu.txt", "nvshmem.txt"):
        assert str(pinned(CONSTRAINTS / name)["numpy"].specifier) < "==2.5"


def test_what_compiles_kernels_is_the_same_with_and_without_a_gpu() -> None:
    """Kernels are looked at with the one file and run with the other."""
    book, gpu = (pinned(CONSTRAINTS / name) for name in ("book.txt", "gpu.txt"))
    compiler = {"numba", "numba-cuda", "llvmlite", "numpy", *LOCK["COMPILER"]}
    assert compiler <= set(book)
    assert {name: str(gpu[name]) for name in compiler} == {
        name: str(book[name]) for name in compiler
    }


def test_a_lost_pin_of_the_compiler_is_named(tmp_path: Path) -> None:
    lines = (CONSTRAINTS / "book.txt").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("nvidia-nvvm")]
    (tmp_path / "book.txt").write_text("\n".join(kept))
    assert missing_from_lock(PYPROJECT, tmp_path / "book.txt", ("kernels",)) == ["nvidia-nvvm"]


def test_only_what_builds_the_site_has_an_upper_bound() -> None:
    """A hosted notebook, which builds no site, keeps the versions that it came with."""
    bounded = {
        requirement.name
        for extra in ("plot", "train", "kernels", "gpu", "book", "dev")
        for requirement in direct_dependencies(PYPROJECT, extra)
        if any(part.operator in ("<", "<=", "==", "~=") for part in requirement.specifier)
    }
    assert bounded == {"jupyter-book", "sphinx-book-theme", "pydata-sphinx-theme"}


@pytest.mark.parametrize(
    ("line", "change", "fault"),
    [
        ("matplotlib==", "", "no pin for matplotlib, wanted by [plot]"),
        ("torch==", "torch==2.4.0", "torch==2.4.0 is not what [train] wants"),
        ("pytest==", "pytest>=8", "pytest>=8 is not an exact version"),
        ("pytest==", "pytest==8.*", "pytest==8.* is not an exact version"),
    ],
)
def test_a_planted_fault_is_named(tmp_path: Path, line: str, change: str, fault: str) -> None:
    lines = (CONSTRAINTS / "book.txt").read_text().splitlines()
    assert any(old.startswith(line) for old in lines)
    changed = tmp_path / "book.txt"
    changed.write_text("\n".join(change if old.startswith(line) else old for old in lines))
    faults = pin_faults(PYPROJECT, changed, SERVED["book.txt"])
    assert any(fault in found for found in faults), faults
