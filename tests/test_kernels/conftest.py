"""Where Numba's CUDA target is missing (it has no wheels for macOS), what compiles is skipped, and says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# These compile nothing.
SOURCE_ALONE = ("test_lint.py", "test_permute.py", "test_launched.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("numba_cuda") is None:
        skip = pytest.mark.skip(reason="numba-cuda is not installed: no kernel can be compiled")
        for item in items:
            if HERE in item.path.parents and item.path.name not in SOURCE_ALONE:
                item.add_marker(skip)
