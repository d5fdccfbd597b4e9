"""A GPU that only writes down what it is asked. Where Numba's CUDA target is missing (no wheels for macOS), what compiles is skipped."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.transport import gpu

HERE = Path(__file__).parent
# These compile nothing.
SOURCE_ALONE = ("test_lint.py", "test_permute.py", "test_launched.py", "test_mps.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("numba_cuda") is None:
        skip = pytest.mark.skip(reason="numba-cuda is not installed: no kernel can be compiled")
        for item in items:
            if HERE in item.path.parents and item.path.name not in SOURCE_ALONE:
                item.add_marker(skip)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine with a GPU that only writes down what it is asked to do; its memory is that of the CPU."""
    calls: list[Any] = []
    stream = SimpleNamespace(
        device=SimpleNamespace(index=0),
        wait_stream=lambda other: None,
        synchronize=lambda: calls.append("waited"),
    )
    properties = SimpleNamespace(multi_processor_count=132, uuid="GPU-1")
    monkeypatch.setattr(gpu, "require_gpu", lambda: None)
    monkeypatch.setattr(gpu, "check_tensors", lambda tensors, device: None)
    monkeypatch.setattr(torch, "device", lambda *parts: "cpu")
    gpu._loaded.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(gpu, "own_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(
        "cuda.core.Device", lambda index: SimpleNamespace(set_current=lambda: calls.append(index))
    )
    monkeypatch.setattr("cuda.core.LaunchConfig", lambda **given: given)
    monkeypatch.setattr(
        "cuda.core.ObjectCode",
        SimpleNamespace(
            from_ptx=lambda text: SimpleNamespace(get_kernel=lambda name: (text.decode(), name))
        ),
    )
    monkeypatch.setattr("cuda.core.launch", lambda *given: calls.append(given))
    return calls
