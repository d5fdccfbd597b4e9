"""A finished run of training, which several files look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_train.test_run import train


@pytest.fixture(scope="package")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps of DualPipe on two processes, without a stop."""
    folder = tmp_path_factory.mktemp("straight")
    options = ["--nproc", 2, "--steps", 4, "--checkpoint", folder, "--checkpoint-every", 2]
    train(*options, "--metrics", folder / "metrics.jsonl")
    return folder
