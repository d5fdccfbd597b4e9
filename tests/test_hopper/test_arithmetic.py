"""What is made of times and bytes, over generated ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.hopper.arithmetic import (
    Traffic,
    copies,
    exposed_share,
    knee,
    over_the_longer,
    rate,
    repetitions,
    sm_tax,
    to_yardstick,
    waves,
)
from dualpipe_ref.schedule.errors import InputError

times = st.floats(1e-3, 1e3)
shares = st.floats(0, 1)


@given(times, times, shares)
def test_what_is_hidden_is_not_exposed(compute: float, communication: float, share: float) -> None:
    """Communication of which a share sticks out is exposed by that share, however long the computation."""
    together = compute + share * communication
    assert exposed_share(together, compute, communication) == pytest.approx(
        share, abs=1e-6 * compute / communication + 1e-9
    )


@given(times, times)
def test_one_after_the_other_exposes_everything(compute: float, communication: float) -> None:
    found = exposed_share(compute + communication, compute, communication)
    assert found == pytest.approx(1, abs=1e-9 * compute / communication + 1e-9)
    longest = max(compute, communication)
    assert over_the_longer(longest, compute, communication) == 1
    assert over_the_longer(compute + communication, compute, communication) <= 2


@given(times, st.integers(2, 200), st.data())
def test_a_tax_that_the_lost_sms_explain_is_none_beyond_them(
    on_all: float, sms: int, data: st.DataObject
) -> None:
    reserved = data.draw(st.integers(0, sms - 1))
    tax = sm_tax(on_all * sms / (sms - reserved), on_all, sms, reserved)
    assert tax.beyond == pytest.approx(1)
    assert sm_tax(2 * on_all, on_all, sms, reserved).takes == pytest.approx(2)


@given(times, times, st.integers(1, 10**9), st.floats(0.01, 2))
def test_the_yardstick_against_itself_is_one(
    seconds: float, copy_seconds: float, copied: int, factor: float
) -> None:
    same = to_yardstick(Traffic(2 * copied, copied), seconds, copied, seconds)
    assert same.total == pytest.approx(1)
    assert same.algorithmic == pytest.approx(0.5)
    # What takes longer is less, in proportion; bytes of the yardstick cancel with its time.
    slower = to_yardstick(Traffic(2 * copied, copied), seconds / factor, copied, seconds)
    assert slower.total == pytest.approx(factor)
    longer = to_yardstick(Traffic(2 * copied, copied), seconds, 3 * copied, 3 * copy_seconds)
    once = to_yardstick(Traffic(2 * copied, copied), seconds, copied, copy_seconds)
    assert longer.total == pytest.approx(once.total)


@given(
    st.lists(
        st.tuples(st.integers(1, 132), times), min_size=1, max_size=12, unique_by=lambda one: one[0]
    )
)
def test_the_knee_reaches_its_share_and_nobody_smaller_does(sweep: list[tuple[int, float]]) -> None:
    sms, rates = zip(*sweep, strict=True)
    found = knee(sms, rates)
    good = [one for one, value in sweep if value >= 0.95 * max(rates)]
    assert found == min(good)


@given(times, times, st.floats(0.1, 10))
def test_repetitions_are_the_fewest_that_last_long_enough(
    alone: float, other: float, ratio: float
) -> None:
    count = repetitions(alone, other, ratio)
    assert count * alone >= ratio * other * (1 - 1e-6)
    assert count == 1 or (count - 1) * alone < ratio * other


def test_what_makes_no_sense_is_named() -> None:
    for call in (
        lambda: exposed_share(1, 1, 0),
        lambda: over_the_longer(1, float("inf"), 1),
        lambda: sm_tax(float("nan"), 1, 132, 20),
        lambda: rate(5, -1),
        lambda: to_yardstick(Traffic(1, 1), 1, 1, 0),
        lambda: repetitions(0, 1),
    ):
        with pytest.raises(InputError, match="a time is positive and finite"):
            call()
    with pytest.raises(
        InputError, match="leaves SMs to computation; got 132 of 132; nearest legal: 131"
    ):
        sm_tax(1, 1, 132, 132)
    with pytest.raises(InputError, match="a yardstick copies something; got 0 bytes"):
        to_yardstick(Traffic(1, 1), 1, 0, 1)
    with pytest.raises(InputError, match="a rate for each number of SMs"):
        knee([1, 2], [1.0])
    with pytest.raises(InputError, match="a version is direct or queues"):
        copies(1, 1, 1, "other")
    with pytest.raises(
        InputError,
        match="goes to a rank of it; got 3 copies to nodes, 0 of them to the own one, 2 to ranks",
    ):
        copies(3, 2, 0, "direct")
    with pytest.raises(InputError, match="a matmul has a side and SMs; got side 8192 on 0 SMs"):
        waves(8192, 0)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 132), st.integers(0, 255))
def test_waves_count_whole_tiles(high: int, wide: int, sms: int, less: int) -> None:
    """A tile that the matrix fills only in part takes as long as another."""
    tile = (128 * high, 256 * wide)
    side = max(1, 4 * tile[0] * wide - less)
    tiles = len(range(0, side, tile[0])) * len(range(0, side, tile[1]))
    assert waves(side, sms, tile) == pytest.approx(tiles / sms)
