"""Reservations against a driver that splits by the documented rules, and against one that refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.hopper.driver import IGNORE_SM_COSCHEDULING, DriverError
from dualpipe_ref.hopper.emulated_driver import A100, H100, T4, EmulatedDriver
from dualpipe_ref.hopper.reserve import nearest_split, reserve
from dualpipe_ref.hopper.ways import GREEN, OWNED, PLAIN, owns_by_shared_memory, ways
from dualpipe_ref.schedule.errors import InputError

# Compute capability 9.0: at least 8 SMs, in multiples of 8 (cuda.h 13.0).
HOPPER = {1: 8, 8: 8, 9: 16, 16: 16, 20: 24, 24: 24, 32: 32, 128: 128}


@pytest.mark.parametrize(("asked", "given_"), list(HOPPER.items()))
def test_hopper_gives_eights(asked: int, given_: int) -> None:
    with reserve(EmulatedDriver(), asked, exact=False) as made:
        assert made.given[:4] == (GREEN, asked, given_, 132 - given_)
        assert (made.given.minimum, made.given.alignment) == (8, 8)
        assert (made.communication.sms, made.compute.sms) == (given_, 132 - given_)


@given(asked=st.integers(1, 131), exact=st.booleans(), way=st.sampled_from([GREEN, OWNED, PLAIN]))
def test_what_is_given_is_no_less_and_leaves_the_rest(asked: int, exact: bool, way: str) -> None:
    driver = EmulatedDriver()
    if way == GREEN and asked > (130 if exact else 128):
        # Rounding up leaves nothing.
        with pytest.raises(InputError, match=r"left|leaves"):
            reserve(driver, asked, way, exact=exact)
        assert not driver.open
        return
    with reserve(driver, asked, way, exact=exact) as made:
        assert made.given.asked == asked <= made.given.given
        first, second = (driver.sms_of(half.stream) for half in (made.communication, made.compute))
        assert driver.priorities[made.communication.stream] < driver.priorities[made.compute.stream]
        if way == GREEN:
            assert not set(first) & set(second)
            assert sorted({*first, *second}) == list(range(132))
            assert (len(first), len(second)) == (made.given.given, made.given.rest)
            # Never more than the rule of the hardware asks for.
            assert made.given.given - asked < (2 if exact else 8) or made.given.given == 8
        assert made.communication.owns_sm == (way == OWNED)
        assert not made.compute.owns_sm
    assert not driver.open


def test_twenty_exactly_needs_the_flag() -> None:
    class Watched(EmulatedDriver):
        flags = -1

        def split(self, sms: Any, count: int, flags: int) -> Any:
            self.flags = flags
            return super().split(sms, count, flags)

    driver = Watched()
    assert reserve(driver, 20).given.given == 20
    assert driver.flags == IGNORE_SM_COSCHEDULING
    assert reserve(driver, 20, exact=False).given.given == 24
    assert driver.flags == 0


def test_a_number_of_sms_that_cannot_be() -> None:
    with pytest.raises(
        InputError, match="leaves SMs to computation; got 132 of 132 SMs; nearest legal: 131 SMs"
    ):
        reserve(EmulatedDriver(), 132)
    with pytest.raises(
        InputError,
        match="multiples of 8, and some are left; got 130 of 132 SMs; nearest legal: 128 SMs",
    ):
        reserve(EmulatedDriver(), 130, exact=False)
    for wrong in (0, -4, 2.5, True):
        with pytest.raises(InputError, match="sms must be an int of at least 1"):
            reserve(EmulatedDriver(), wrong)  # type: ignore[arg-type]


@given(
    sms=st.integers(1, 200),
    of=st.integers(20, 200),
    minimum=st.integers(1, 8),
    alignment=st.integers(1, 8),
)
def test_the_nearest_split_is_legal(sms: int, of: int, minimum: int, alignment: int) -> None:
    """Against trying all numbers."""
    minimum = -(-minimum // alignment) * alignment
    legal = [one for one in range(minimum, of) if one % alignment == 0]
    wanted = next((one for one in legal if one >= sms), legal[-1])
    assert nearest_split(sms, of, minimum, alignment) == wanted


def refusals() -> Iterator[tuple[str, str, str]]:
    calls = {
        "cuDeviceGetDevResource": "NOT_SUPPORTED",
        "cuDevSmResourceSplitByCount": "INVALID_RESOURCE_CONFIGURATION",
        "cuGreenCtxCreate": "OUT_OF_MEMORY",
        "cuGreenCtxStreamCreate": "INVALID_VALUE",
    }
    words = {
        "NOT_SUPPORTED": "this GPU or its driver has no green contexts",
        "INVALID_RESOURCE_CONFIGURATION": "the SMs of this GPU cannot be split so",
        "OUT_OF_MEMORY": "there is no memory left for another context",
        "INVALID_VALUE": "the driver does not take one of the values",
        "UNKNOWN": "the driver refuses",
    }
    for call, code in itertools.chain(calls.items(), [("cuGreenCtxCreate", "UNKNOWN")]):
        yield call, f"CUDA_ERROR_{code}", words[code]


@pytest.mark.parametrize(("call", "code", "words"), list(refusals()))
def test_what_the_driver_refuses_becomes_a_sentence(call: str, code: str, words: str) -> None:
    driver = EmulatedDriver(refuse={call: code})
    with pytest.raises(DriverError, match=words) as caught:
        reserve(driver, 20)
    assert call in str(caught.value)
    assert code in str(caught.value)
    assert not driver.open


def test_the_second_half_that_fails_gives_back_the_first() -> None:
    class Poor(EmulatedDriver):
        def green_context(self, sms: Any) -> Any:
            if self.contexts:
                self.refuse = {"cuGreenCtxCreate": "CUDA_ERROR_OUT_OF_MEMORY"}
            return super().green_context(sms)

    driver = Poor()
    with pytest.raises(DriverError, match="no memory left"):
        reserve(driver, 20)
    assert len(driver.contexts) == 1
    assert not driver.open


def test_another_current_context_is_no_success() -> None:
    driver = EmulatedDriver(refuse={"cuCtxGetCurrent": "CUDA_ERROR_INVALID_CONTEXT"})
    with pytest.raises(DriverError, match="current context is not the GPU's primary one"):
        reserve(driver, 20)
    assert not driver.open


def test_other_gpus_have_what_they_have() -> None:
    assert [way.ready for way in ways(A100)] == [False, True, True]
    assert [way.ready for way in ways(T4)] == [False, False, True]
    newer = A100._replace(driver=12040)
    with reserve(EmulatedDriver(newer), 5, exact=False) as made:
        assert made.given[1:] == (5, 6, 102, 4, 2)
    with pytest.raises(
        InputError,
        match=r"need a driver for CUDA 12.4 or newer; got emulated A100: a driver for CUDA 12.2; nearest legal: owned shared memory",
    ):
        reserve(EmulatedDriver(A100), 20)
    with pytest.raises(
        InputError,
        match="one without shared memory still fits beside it; nearest legal: plain streams",
    ):
        reserve(EmulatedDriver(T4), 20, OWNED)
    with pytest.raises(InputError, match="one of the ways; got 'magic'"):
        reserve(EmulatedDriver(), 20, "magic")


@given(per_sm=st.integers(1, 256), per_block=st.integers(1, 256), reserved=st.integers(0, 2))
def test_a_block_owns_its_sm_if_an_empty_one_does_not_fit(
    per_sm: int, per_block: int, reserved: int
) -> None:
    gpu = H100._replace(
        shared_per_sm=per_sm * 1024,
        shared_per_block=per_block * 1024,
        shared_reserved=reserved * 1024,
    )
    taken = (per_block + reserved) * 1024
    fits = taken <= gpu.shared_per_sm
    empty_fits = taken + reserved * 1024 <= gpu.shared_per_sm
    assert owns_by_shared_memory(gpu) == (fits and not empty_fits)
