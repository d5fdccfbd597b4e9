"""What `bench search` has left: makespans that the simulator finds again, orders that keep their rules and caps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("ortools")

from dualpipe_ref.bench.search import CURVE_SIZE, CURVES, Case, cases, compared
from dualpipe_ref.plot.measured import RESULTS, Results, results
from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.formats import load
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.search import rules_of
from dualpipe_ref.simulate import simulate

FOUND: Results = results("search")
KEPT = sorted((Path(RESULTS) / "search").glob("*.json"))
each_case = pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)


@each_case
def test_rows_are_what_the_simulator_finds(case: Case) -> None:
    by_hand = build(case.kind, case.ranks, case.microbatches)
    hand, best, bound, held = (
        FOUND.value(f"{case.name}_{what}") for what in ("by_hand", "best", "bound", "held")
    )
    assert hand == simulate(by_hand, case.exact()).makespan
    assert held == max(peaks(by_hand).held)
    assert bound <= best <= hand
    assert FOUND.value(f"{case.name}_ratio") == pytest.approx(hand / best, rel=1e-3)
    assert ((Path(RESULTS) / "search" / f"{case.name}.json") in KEPT) == (best < hand)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_an_order_that_is_kept_is_as_fast_as_its_row_says(path: Path) -> None:
    case = next(case for case in cases() if case.name == path.stem)
    loaded = load(path)
    assert not loaded.violations
    assert not find_violations(loaded.schedule)
    assert simulate(loaded.schedule, case.exact()).makespan == FOUND.value(f"{path.stem}_best")
    assert max(peaks(loaded.schedule).held) <= FOUND.value(f"{path.stem}_held")
    by_hand = build(case.kind, case.ranks, case.microbatches)
    assert loaded.schedule.placement == by_hand.placement
    # Where pairs gain nothing there may be none; a backward stays whole where it was whole.
    assert rules_of(loaded.schedule) == rules_of(by_hand)


def test_more_memory_is_never_slower() -> None:
    for placement, caps in CURVES.items():
        times = [FOUND.value(f"cap_{placement}_{cap}") for cap in caps]
        assert times == sorted(times, reverse=True)
        work = 3 * CURVE_SIZE[1]
        assert all(time > work for time in times)


def test_a_case_is_found_again() -> None:
    case = Case("dualpipe", 2, 4, "gain")
    found, rows = compared(case, seconds=60)
    assert found is not None
    assert found.makespan == Fraction(11)
    assert {row.bench: row.value for row in rows}[f"search.{case.name}_ratio"] == 11.5 / 11
