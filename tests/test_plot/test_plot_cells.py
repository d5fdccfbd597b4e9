"""Cells cover what ran, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, InputError, build, simulate
from dualpipe_ref.plot.cells import cells, stretches
from dualpipe_ref.schedule import KINDS, OpKind

COST = st.fractions(Fraction(1, 4), 4, max_denominator=12)


@given(st.sampled_from(sorted(KINDS)), COST, COST, COST, COST)
def test_cells_cover_every_op_without_gap_or_overlap(
    kind: str, f: Fraction, i: Fraction, w: Fraction, fb: Fraction
) -> None:
    costs = Costs(F=f, I=i, W=w, FB=fb)
    timeline = simulate(build(kind, 4, 8), costs)
    drawn = cells(timeline, costs)
    for rank, spans in enumerate(timeline.spans):
        row = iter([cell for cell in drawn if cell.rank == rank])
        for op, start, end in spans:
            first = next(row)
            last = next(row) if op.kind is OpKind.FB else first
            assert first.start == start
            assert last.start + last.width == end
            if last is not first:
                assert first.start + first.width == last.start
                assert first.width * (i + w) == last.width * f
                assert (first.kind, last.kind) == (OpKind.F, OpKind.B)
                assert first[4:] == (*op.forward, True)  # type: ignore[misc]
                assert last[4:] == (*op.backward, True)  # type: ignore[misc]
        assert next(row, None) is None


def test_numbers_stay_what_they_are() -> None:
    whole = cells(simulate(build("dualpipe", 4, 8), Costs(FB=3)))
    assert {type(cell.width) for cell in whole} == {int}
    measured = cells(simulate(build("dualpipe", 4, 8), Costs(F=1.0, I=1.0, W=1.0, FB=2.5)))
    assert {type(cell.width) for cell in measured} == {float}


def test_costs_per_stage_share_the_pair_by_its_stages() -> None:
    costs = Costs(F=(1, 1, 1, 5), I=1, W=1, FB=(6, 6, 6, 6))
    drawn = cells(simulate(build("dualpipe", 4, 8), costs), costs)
    shares = {
        (cell.rank, cell.slot): cell.width
        for cell in drawn
        if cell.part_of_overlap and cell.kind == "F"
    }
    assert shares[3, 0] == Fraction(6 * 5, 7)  # stage 3 of direction 0
    assert shares[0, 1] == Fraction(6 * 5, 7)  # stage 3 of direction 1
    assert shares[0, 0] == 2


def test_costs_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="one number a stage"):
        cells(simulate(build("1f1b", 4, 8)), Costs(F=(1, 2)))


@given(st.sampled_from(sorted(KINDS)))
def test_stretches_cover_the_same_time(kind: str) -> None:
    drawn = cells(simulate(build(kind, 4, 8), Costs(FB=3)))
    joined = stretches(drawn)
    assert len(joined) < len(drawn)
    for rank in range(4):
        width = sum(cell.width for cell in drawn if cell.rank == rank)
        assert sum(s.end - s.start for s in joined if s.rank == rank) == width


def test_gaps_are_joined_only_when_small() -> None:
    drawn = cells(simulate(build("1f1b", 2, 2)))
    assert len(stretches(drawn, gap=100)) < len(stretches(drawn))
