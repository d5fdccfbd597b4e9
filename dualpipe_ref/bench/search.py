"""How far each hand-made schedule is from the fastest one with its placement, its rules and its memory.

A search begins with the order that the last one has kept, so it can be repeated until the bound is met. Every row of `book/results/search.json` comes with the cap that was searched under: what the hand-made schedule holds on
its fullest rank, until W. Where the search finds a faster order, that order is kept in `book/results/search/`,
as a schedule file. What is measured here are no times of this machine, but how long a search needs is: a row says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from dualpipe_ref.bench.processes import say
from dualpipe_ref.bench.results import Row, as_text, record, results_folder
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.schedule.formats import load, to_dict
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.search import Found, NothingFoundError, Problem, rules_of, search
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.costs import Number

SECONDS, CURVE_SECONDS = 90.0, 30.0
PAIRED = ("dualpipe", "dualpipev")
SIZES = ((2, 4), (3, 6), (4, 8))
EVEN = ("chimera", "dualpipe")
KINDS = ("gpipe", "1f1b", "interleaved", "zb-h1", "zb-v", "chimera", "dualpipe", "dualpipev")
# Costs of a stage, and of a pair where the schedule has pairs: a pair that gains nothing, and ones that do.
COSTS: dict[str, tuple[Costs, Number]] = {
    "equal": (Costs(1, 1, 1), 3),
    "gain": (Costs(1, 1, 1), Fraction(5, 2)),
    "unequal": (Costs(2, 3, 2), 6),
}
# Fastest makespan for a cap, at F = I = W = 1 for 1/P of the model.
CURVES = {"linear": range(1, 9), "v": range(2, 17), "bidirectional": range(1, 9)}
CURVE_SIZE = (4, 8)


class Case(NamedTuple):
    """One hand-made schedule with its costs."""

    kind: str
    ranks: int
    microbatches: int
    costs: str

    @property
    def name(self) -> str:
        return f"{self.kind}_p{self.ranks}_m{self.microbatches}_{self.costs}"

    def exact(self) -> Costs:
        """The costs; with an FB where the schedule has pairs."""
        costs, pair = COSTS[self.costs]
        return replace(costs, FB=pair) if self.kind in PAIRED else costs


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/search.json), orders beside it."""
    rows: list[Row] = []
    orders: dict[str, Schedule] = {}
    for case in cases():
        found, more = compared(case)
        rows += more
        if found is not None:
            orders[case.name] = found.schedule
    rows += list(curve_rows())
    path = record("search", "CPU", rows, ["ortools"], out)
    folder = Path(path).with_suffix("")
    if orders:
        folder.mkdir(exist_ok=True)
    for name, schedule in orders.items():
        write_text(folder / f"{name}.json", json.dumps(to_dict(schedule)) + "\n")
    print(as_text(rows))
    print(path)
    return 0


def cases() -> Iterator[Case]:
    """Small ones first."""
    for ranks, microbatches in SIZES:
        for costs in COSTS:
            for kind in KINDS:
                fits = ranks % 2 == 0 or kind not in EVEN
                if fits and (costs != "gain" or kind in PAIRED):
                    yield Case(kind, ranks, microbatches, costs)


def compared(case: Case, seconds: float = SECONDS) -> tuple[Found | None, list[Row]]:
    """The order that is faster than the hand-made one, if one was found; and the rows."""
    by_hand, costs = build(case.kind, case.ranks, case.microbatches), case.exact()
    placement, backward = rules_of(by_hand)
    cap = max(peaks(by_hand).held)
    problem = Problem(placement, case.ranks, case.microbatches, costs, backward, max_held=cap)
    found = search(problem, seconds=seconds, known=_to_begin_with(case, by_hand, cap))
    makespan = Fraction(simulate(by_hand, costs).makespan)
    name, unit = f"search.{case.name}", "the costs' unit"
    words = "optimal" if found.optimal else f"at least {float(found.bound):g}"
    say(f"{case.name}: by hand {float(makespan):g}, found {float(found.makespan):g}, {words}")
    rows = [
        Row(f"{name}_held", cap, "chunks a rank"),
        Row(f"{name}_by_hand", float(makespan), unit),
        Row(f"{name}_best", float(found.makespan), unit),
        Row(f"{name}_bound", float(found.bound), unit),
        Row(f"{name}_ratio", float(makespan / found.makespan), "by hand / best found"),
        Row(f"{name}_seconds", found.seconds, "s of search"),
    ]
    return (found if found.makespan < makespan else None), rows


def _to_begin_with(case: Case, by_hand: Schedule, cap: int) -> Schedule:
    """The order that an earlier search has kept, where it is one and faster: then this search goes on from there."""
    path = results_folder() / "search" / f"{case.name}.json"
    if not path.is_file():
        return by_hand
    loaded = load(path)
    right = not loaded.violations and not find_violations(loaded.schedule)
    same = (
        loaded.schedule.placement == by_hand.placement and max(peaks(loaded.schedule).held) <= cap
    )
    if not (right and same and rules_of(loaded.schedule) == rules_of(by_hand)):
        return by_hand
    return min(loaded.schedule, by_hand, key=lambda one: simulate(one, case.exact()).makespan)


def curve_rows() -> Iterator[Row]:
    """The fastest makespan for every cap, in shares of the model that are the same for all placements."""
    ranks, microbatches = CURVE_SIZE
    for placement, caps in CURVES.items():
        share = Fraction(1, 2) if placement == "v" else Fraction(1)
        for cap in caps:
            problem = Problem(
                placement, ranks, microbatches, Costs(share, share, share), max_held=cap
            )
            name = f"search.cap_{placement}_{cap}"
            try:
                found = search(problem, seconds=CURVE_SECONDS)
            except NothingFoundError as error:
                say(f"{name}: {error}")
                continue
            say(f"{name}: {float(found.makespan):g}, at least {float(found.bound):g}")
            yield Row(name, float(found.makespan), "F = I = W = 1 for 1/P of the model")
            yield Row(f"{name}_bound", float(found.bound), "F = I = W = 1 for 1/P of the model")
