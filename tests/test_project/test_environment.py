"""environment.yml asks conda for Python alone, and pip for what the project has."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environment import environment_faults
from .files import ROOT


def test_the_environment_fits_the_project() -> None:
    assert environment_faults(ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("python=3.12", "python=3.10", "python=3.10, but the package needs >=3.11"),
        ("  - pip\n", "  - pip\n  - pytorch-cuda\n", "conda is asked for pytorch-cuda"),
        ("constraints/book.txt", "constraints/brook.txt", "brook.txt: no such file"),
        ("plot", "plod", "no extra plod"),
        (
            "      - -e .[",
            "      - torch\n      - -e .[",
            "the extras of the package name what is needed",
        ),
    ],
)
def test_a_planted_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    (tmp_path / "constraints").mkdir()
    for name in ("pyproject.toml", "constraints/book.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    text = (ROOT / "environment.yml").read_text()
    assert old in text
    (tmp_path / "environment.yml").write_text(text.replace(old, new))
    assert any(fault in found for found in environment_faults(tmp_path))
