"""A block that owns its SM: what the driver is told before it is launched, by bindings that write it down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dualpipe_ref.comm.transport import gpu

from .bindings import Code

KIB = 1024


class Bindings:
    """A GPU whose blocks may have 227 KiB of shared memory, and a kernel that has `static` bytes already."""

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN="most"
    )
    CUfunction_attribute = SimpleNamespace(
        CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES="static",
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="dynamic",
    )
    CUkernel = int

    def __init__(self, static: int, refused: Code = Code.CUDA_SUCCESS) -> None:
        self.static, self.refused, self.told = static, refused, {}

    def cuDeviceGetAttribute(self, attribute: str, device: int) -> Any:
        assert (attribute, device) == ("most", 3)
        return Code.CUDA_SUCCESS, 227 * KIB

    def cuKernelGetAttribute(self, attribute: str, kernel: int, device: int) -> Any:
        assert (attribute, kernel, device) == ("static", 99, 3)
        return Code.CUDA_SUCCESS, self.static

    def cuKernelSetAttribute(self, attribute: str, value: int, kernel: int, device: int) -> Any:
        self.told[attribute, kernel, device] = value
        return (self.refused,)


def shared(monkeypatch: pytest.MonkeyPatch, bindings: Bindings) -> int:
    pytest.importorskip("cuda.bindings.driver", exc_type=ImportError)
    monkeypatch.setattr("cuda.bindings.driver", bindings)
    return gpu._all_shared_memory.__wrapped__(SimpleNamespace(handle=99), 3)


@pytest.mark.parametrize("static", [0, 8, 4 * KIB])
def test_it_takes_what_its_own_arrays_leave(monkeypatch: pytest.MonkeyPatch, static: int) -> None:
    bindings = Bindings(static)
    assert shared(monkeypatch, bindings) == 227 * KIB - static
    assert bindings.told == {("dynamic", 99, 3): 227 * KIB - static}


def test_a_driver_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = Bindings(0, Code.CUDA_ERROR_INVALID_VALUE)
    with pytest.raises(
        RuntimeError, match="all of its SM's shared memory: CUDA_ERROR_INVALID_VALUE"
    ):
        shared(monkeypatch, bindings)
