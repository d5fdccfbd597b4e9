"""How many examples the property tests draw, and which tests may run side by side.

Few and new examples on a laptop, the same ones every time in CI. Under pytest-xdist a file stays in one worker, and all
files that start processes of their own stay in the same one: several processes want all cores already.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
PROCESSES = ("test_bench", "test_comm", "test_model", "test_runtime", "test_train")
PROCESSES_TOO = HERE / "test_project" / "test_notebooks_run.py"

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=60, **COMMON)
settings.register_profile("ci", max_examples=60, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=1000, **COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name each test's group. The longest one comes first, so that the others fill up the time beside it."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))
    items.sort(key=lambda item: _group(item.path) != "processes")


def _group(path: Path) -> str:
    starts_processes = any(HERE / folder in path.parents for folder in PROCESSES)
    return "processes" if starts_processes or path == PROCESSES_TOO else str(path)
