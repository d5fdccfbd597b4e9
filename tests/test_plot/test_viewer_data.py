"""The viewer's data say exactly what the timeline says, in few bytes."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, InputError, Network, build, simulate
from dualpipe_ref.plot import Highlight, cells, palette, viewer_data
from dualpipe_ref.plot.exact import TimeTable, exact_number, time_text
from dualpipe_ref.schedule import KINDS, OpKind, Schedule
from dualpipe_ref.schedule.steps import steps_of_ranks
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.simulate import Timeline, peaks

from ..test_schedule.two_ranks import two_ranks
from ..test_simulate.strategies import runs
from .viewer_reading import faults, starts_too_early_or_late

Run = tuple[Schedule, Costs, Network]
COMPACT = (",", ":")


@given(runs())
def test_the_data_say_what_the_timeline_says(run: Run) -> None:
    schedule, costs, network = run
    timeline = simulate(schedule, costs, network)
    data = viewer_data(timeline, costs=costs)
    assert list(faults(data, timeline)) == []
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [exact_text(idle) for idle in data["idle"]] == list(timeline.idle)
    assert tuple(data["peaks"]) == peaks(schedule).activations
    if network.sends == "eager":
        assert list(starts_too_early_or_late(data)) == []


def exact_text(text: str) -> Fraction:
    return Fraction(text.split()[0])


PLANTED = {
    "a need that is left out": lambda data: data["ops"][1]["needs"].pop(),
    "a need of another op": lambda data: data["ops"][1]["needs"][0].__setitem__(2, 3),
    "an arrival at another time": lambda data: data["ops"][1]["needs"][0].__setitem__(3, 0),
    "another start": lambda data: data["ops"][0]["starts"].__setitem__(2, 0),
    "another end": lambda data: data["ops"][0]["ends"].__setitem__(2, 0),
    "another micro-batch": lambda data: data["ops"][2]["forward"].__setitem__(0, 5),
    "an op twice": lambda data: data["ops"][0].update(kinds="0" + data["ops"][0]["kinds"]),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_the_comparison_sees(fault: str) -> None:
    timeline = simulate(build("1f1b", 4, 8), Costs(FB=3), Network(latency=Fraction(1, 3)))
    data = copy.deepcopy(viewer_data(timeline))
    assert list(faults(data, timeline)) == []
    PLANTED[fault](data)
    try:
        found = list(faults(data, timeline))
    except ValueError:  # columns of different lengths
        found = ["unreadable"]
    assert found


@given(st.sampled_from(KINDS), st.sampled_from([Fraction(11, 5), 3, Fraction(7, 3)]))
def test_eight_ranks_and_twenty_microbatches_stay_below_60_kb(kind: str, pair: Fraction) -> None:
    microbatches = 24 if kind in ("chimera", "interleaved") else 20
    timeline = simulate(build(kind, 8, microbatches), Costs(FB=pair))
    assert len(json.dumps(viewer_data(timeline), separators=COMPACT)) < 60_000


def test_steps_are_those_of_the_schedule() -> None:
    schedule = build("dualpipe", 8, 20)
    data = viewer_data(simulate(schedule, Costs(FB=3)))
    for columns, steps in zip(data["ops"], steps_of_ranks(schedule), strict=True):
        assert tuple(map(int, columns["steps"])) == steps
    assert viewer_data(simulate(build("1f1b", 2, 2)))["ops"][0]["steps"] == ""


@given(runs().filter(lambda run: run[0].kind in ("dualpipe", "dualpipev")))
def test_halves_of_a_pair_share_its_width_as_in_the_figures(run: Run) -> None:
    schedule, costs, _ = run
    timeline = simulate(schedule, costs)
    shares = viewer_data(timeline, costs=costs)["shares"]
    halves = iter(cell for cell in cells(timeline, costs) if cell.part_of_overlap)
    for forward, backward in zip(halves, halves, strict=True):
        share = shares[forward.rank][forward.slot][backward.slot]
        assert share == pytest.approx(forward.width / (forward.width + backward.width), abs=1e-5)


def test_colours_are_those_of_the_figures() -> None:
    data = viewer_data(simulate(build("dualpipe", 4, 8)))
    for name in ("light", "dark"):
        colours, shown = palette(name), data["palettes"][name]  # type: ignore[arg-type]
        for place, kind in enumerate(OpKind):
            assert shown["fills"][place] == [colours.fill(kind, slot) for slot in (0, 1)]
            assert shown["inks"][place] == [colours.ink_on(fill) for fill in shown["fills"][place]]
        assert shown["highlight"] == colours.highlight


# Each rank sends before it receives, and sends block: they wait for each other.
STUCK = two_ranks("F0 a0 F1 a1 g0 B0 g1 B1", "a0 F0 B0 g0 a1 F1 B1 g1")


def stuck() -> tuple[Timeline, Highlight]:
    (violation,) = find_violations(STUCK)
    timeline = simulate(STUCK, network=Network(sends="rendezvous"), until_stuck=True)
    return timeline, Highlight.cycle(violation.cycle)


def test_a_deadlock_shows_where_the_ranks_stopped_and_the_ring() -> None:
    timeline, ring = stuck()
    data = viewer_data(timeline, highlight=ring)
    assert data["summary"].startswith("stops after ")
    assert [len(columns["kinds"]) for columns in data["ops"]] == [4, 4]
    assert [len(columns["starts"]) for columns in data["ops"]] == list(map(len, timeline.starts))
    assert {rank for rank, _ in data["stopped"]} == {0, 1}
    assert data["highlight"]["ops"] == [list(place) for place in ring.ops]
    assert len(data["highlight"]["arrows"]) == 2
    json.dumps(data, allow_nan=False)


def test_a_message_that_no_op_makes() -> None:
    """An order that forgets an op can still be shown: the need names the rank and no op."""
    lacking = two_ranks("F0 a0 B0", "a0 F0 F1 B0 g0")
    data = viewer_data(simulate(lacking, until_stuck=True))
    assert [1, 0, -1, -1] in data["ops"][1]["needs"]


def test_a_highlight_of_an_op_that_is_not_there() -> None:
    with pytest.raises(InputError, match="a highlight names a rank"):
        viewer_data(simulate(build("1f1b", 2, 2)), highlight=[(0, 99)])


def test_costs_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="one number a stage"):
        viewer_data(simulate(build("1f1b", 2, 2)), costs=Costs(F=(1, 2, 3)))


def test_too_many_ops_are_refused_with_a_size_that_is_not() -> None:
    with pytest.raises(InputError, match="at most 20,000 ops") as caught:
        viewer_data(simulate(build("1f1b", 8, 1300)))
    legal = int(str(caught.value.nearest).removeprefix("m = "))
    viewer_data(simulate(build("1f1b", 8, legal)))
    assert 1200 <= legal <= 1250


@given(st.lists(st.fractions(0, 1000, max_denominator=60) | st.integers(0, 1000), min_size=1))
def test_a_table_keeps_every_time(times: list[Fraction | int]) -> None:
    table = TimeTable(times)
    for time in times:
        place = table.place(time)
        text = table.exact.get(str(place)) or str(table.values[place])
        assert exact_text(text) == time
        assert table.values[place] == pytest.approx(float(time), rel=1e-8)
    assert table.values == sorted(set(table.values))


def test_measured_times_are_told_in_nine_digits() -> None:
    assert time_text(1234.56789012345) == "1234.56789"
    assert TimeTable([1e-7, 0.30000000000000004]).exact == {"0": "1e-07"}
    with pytest.raises(InputError, match="below 1e308"):
        TimeTable([10**400])


@pytest.mark.parametrize("text", ["", "1/0", "1e999999999", "x", "9" * 99, None, True, [1], "--1"])
def test_what_is_no_number(text: object) -> None:
    with pytest.raises(InputError, match="is a number such as"):
        exact_number("F", text)
