"""The ledger of waiting, against counting what each device does."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, InputError, build, simulate
from dualpipe_ref.simulate.waiting import Ledger, ledger

SHARES = st.fractions(0, 1, max_denominator=60)
WAITING = st.fractions(0, Fraction(19, 20), max_denominator=60)
SMS = st.integers(1, 200)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    sms = draw(SMS)
    reserved = draw(st.integers(0, sms - 1))
    return ledger(draw(st.integers(1, 10**6)), draw(WAITING), draw(SHARES), reserved, sms)


@given(ledgers())
def test_the_books_balance(book: Ledger) -> None:
    assert sum(length for _, length in book.parts_before) == 1
    assert sum(length for _, length in book.parts_after) == book.step_after
    assert book.effective_gpus_after == book.speedup * book.effective_gpus_before
    assert book.effective_gpus_after <= book.gpus


@given(ledgers())
def test_sm_seconds_of_computation_are_kept(book: Ledger) -> None:
    """The computing SMs do, in their longer time, the work that all SMs did."""
    computing = sum(length for label, length in book.parts_after if label != "waiting left")
    assert computing * (book.sms - book.reserved_sms) == (1 - book.waiting) * book.sms


@given(ledgers())
def test_break_even_is_where_the_speedup_crosses_one(book: Ledger) -> None:
    assert (book.speedup > 1) == (book.reserved_sms < book.break_even)
    assert (book.speedup == 1) == (book.reserved_sms == book.break_even)


@given(ledgers())
def test_hidden_communication_fits_beside_computation(book: Ledger) -> None:
    computing = (1 - book.waiting) * book.slowdown
    assert book.hideable * book.waiting <= computing
    assert book.hideable == 1 or book.hideable * book.waiting == computing


@given(WAITING)
def test_without_waiting_the_speedup_is_one_over_the_rest(waiting: Fraction) -> None:
    assert ledger(8, waiting, 1).speedup == 1 / (1 - waiting)


@given(st.integers(2, 6), st.integers(1, 12), st.integers(2, 4))
def test_the_ledger_gives_the_ratio_of_two_simulations(ranks: int, more: int, pair: int) -> None:
    """1F1B and ZB-H1 do the same work; the second hides part of what the first waits."""
    costs = Costs(F=1, I=1, W=1, FB=pair)
    before, after = (
        simulate(build(kind, ranks, ranks + more), costs) for kind in ("1f1b", "zb-h1")
    )
    waiting = Fraction(before.idle[0]) / before.makespan
    hidden = 1 - Fraction(after.idle[0]) / before.idle[0]
    book = ledger(ranks, waiting, hidden)
    assert book.speedup == Fraction(before.makespan) / after.makespan


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0, 0), "gpus must be an int of at least 1"),
        ((8, 1, 0), "nearest legal: waiting = 0.99"),
        ((8, -1, 0), "nearest legal: waiting = 0"),
        ((8, float("nan"), 0), "waiting must be at least 0 and below 1"),
        ((8, 0, 2), "nearest legal: hidden = 1"),
        ((8, 0, -1), "nearest legal: hidden = 0"),
        ((8, 0, 0, 132), "nearest legal: reserved_sms = 131"),
        ((8, 0, 0, -1), "reserved_sms must be an int of at least 0"),
        ((8, 0, 0, 0, 0), "sms must be an int of at least 1"),
    ],
)
def test_what_has_no_ledger_is_refused(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ledger(*values)  # type: ignore[arg-type]
