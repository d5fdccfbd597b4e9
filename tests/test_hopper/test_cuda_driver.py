"""The real driver's wrapper above bindings that answer as the real ones do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dualpipe_ref.hopper.cuda_driver import CudaDriver
from dualpipe_ref.hopper.driver import DriverError
from dualpipe_ref.hopper.emulated_driver import A100, H100, EmulatedDriver
from dualpipe_ref.hopper.reserve import GREEN, OWNED, PLAIN, reserve
from dualpipe_ref.schedule.errors import InputError

from .bindings import PRIMARY, Bindings


def connected(monkeypatch: pytest.MonkeyPatch, bindings: Bindings) -> CudaDriver:
    pytest.importorskip("cuda.bindings.driver", exc_type=ImportError)
    monkeypatch.setattr("cuda.bindings.driver", bindings)
    return CudaDriver()


@pytest.mark.parametrize("way", [GREEN, OWNED, PLAIN])
@pytest.mark.parametrize("exact", [True, False])
def test_the_same_as_without_the_bindings(
    monkeypatch: pytest.MonkeyPatch, way: str, exact: bool
) -> None:
    bindings = Bindings()
    driver = connected(monkeypatch, bindings)
    assert driver.gpu == H100
    with (
        reserve(driver, 20, way, exact=exact) as made,
        reserve(EmulatedDriver(), 20, way, exact=exact) as wanted,
    ):
        assert made.given == wanted.given
        assert bindings.current == PRIMARY
    assert not bindings.driver.open


def test_bindings_that_know_no_rule_leave_the_documented_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for gpu, rule in ((H100, (8, 8)), (A100._replace(driver=13000), (4, 2))):
        bindings = Bindings(EmulatedDriver(gpu), has_rule=False)
        with reserve(connected(monkeypatch, bindings), 20) as made:
            assert (made.given.minimum, made.given.alignment) == rule


def test_a_refused_split_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"cuDevSmResourceSplitByCount": "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION"}
    driver = connected(monkeypatch, Bindings(EmulatedDriver(refuse=refused)))
    words = "cannot be split so: cuDevSmResourceSplitByCount with 1, 1, 20 gave CUDA_ERROR_INVALID"
    with pytest.raises(DriverError, match=words):
        reserve(driver, 20)


def test_another_current_context_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = Bindings()
    driver = connected(monkeypatch, bindings)
    bindings.current = 5
    with pytest.raises(DriverError, match="not the GPU's primary one"):
        reserve(driver, 20)


def test_older_bindings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = Bindings()
    driver = connected(monkeypatch, bindings)
    monkeypatch.delattr(Bindings, "cuGreenCtxStreamCreate")
    with pytest.raises(InputError, match=r"in cuda-bindings since 12.6; got older bindings"):
        reserve(driver, 20)


def test_the_names_and_orders_are_those_of_the_real_bindings() -> None:
    """Else a fake that takes anything would hide a call that does not exist."""
    real: Any = pytest.importorskip("cuda.bindings.driver")
    calls = [name for name in vars(Bindings) if name.startswith("cu")]
    assert len(calls) == 17
    for name in calls:
        first = getattr(real, name).__doc__.splitlines()[0]
        inside = first.partition("(")[2].rpartition(")")[0]
        parts = [] if not inside else re.split(r",\s*(?![^\[]*\])", inside)
        names = [part.partition(":")[0].split()[-1] for part in parts]
        code = getattr(Bindings, name).__code__
        ours = [one.lower() for one in code.co_varnames[1 : code.co_argcount]]
        assert ours == [one.lower() for one in names], first
    for attribute in ("RESERVED_SHARED_MEMORY_PER_BLOCK", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"):
        assert hasattr(real.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{attribute}")
    assert hasattr(real.CUdevResourceType, "CU_DEV_RESOURCE_TYPE_SM")


def test_without_a_driver_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDriver(Bindings):
        def cuInit(self, flags: int) -> Any:
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    with pytest.raises(InputError, match=r"driver of an NVIDIA GPU; got no driver: Failed to dlop"):
        connected(monkeypatch, NoDriver())
