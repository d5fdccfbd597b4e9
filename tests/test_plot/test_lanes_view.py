"""The live view of lanes: exact answers, orders as data, and who waits for whom where an order stops."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot import lanes_run
from dualpipe_ref.plot.lanes_run import run_as_far
from dualpipe_ref.plot.lanes_text import (
    named_order,
    order_of,
    piece_of,
    short_name,
    text_lanes,
)
from dualpipe_ref.plot.live import answer, nearest
from dualpipe_ref.simulate.lane_search import best_order, lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Piece, needs, published_order, run_pair

TIMES = st.fractions(Fraction(1, 4), 4, max_denominator=4)
STATES = st.fixed_dictionaries(
    {"layers": st.integers(1, 2)}
    | dict.fromkeys(("attention", "dispatch", "mlp", "combine"), TIMES.map(str))
)


def costs_of(state: dict[str, Any]) -> LaneCosts:
    return LaneCosts(**{name: Fraction(state[name]) for name in state if name != "layers"})


@st.composite
def any_order(draw: st.DrawFn, layers: int) -> dict[Lane, list[Piece]]:
    """Every piece once, in any order of each lane: legal ones and rings."""
    pieces = list(needs(layers))
    return {
        lane: draw(st.permutations([piece for piece in pieces if piece.lane is lane]))
        for lane in Lane
    }


@settings(max_examples=40)
@given(STATES)
def test_the_rows_are_what_the_simulator_says(state: dict[str, Any]) -> None:
    layers, costs = state["layers"], costs_of(state)
    data = answer("lanes", state)
    json.dumps(data, allow_nan=False)
    wanted = [
        run_pair(published_order(layers), costs).length,
        run_pair(published_order(layers), costs).length,
        run_pair(best_order(layers, costs), costs).length,
        lower_bound(layers, costs),
    ]
    said = [Fraction(row["length"].split()[0]) for row in data["rows"][:4]]
    assert said == wanted
    best = answer("lanes", {**state, "order": data["orders"]["best"]})
    assert Fraction(best["rows"][0]["length"].split()[0]) == wanted[2]
    exposed = run_pair(published_order(layers), costs).exposed
    assert data["rows"][0]["exposed"] == f"{100 * float(exposed):.3g} %"


@settings(max_examples=60)
@given(st.integers(1, 2).flatmap(any_order), TIMES)
def test_an_order_runs_or_says_who_waits(order: dict[Lane, list[Piece]], time: Fraction) -> None:
    costs = LaneCosts(dispatch=time)
    run, stop = run_as_far(order, costs)
    wanted = needs(1 + max(piece.layer for piece in order[Lane.COMPUTE]))
    if stop is None:
        assert run == run_pair(order, costs)
        return
    with pytest.raises(InputError) as error:
        run_pair(order, costs)
    assert stop.reason == str(error.value)
    # What ran is a beginning of each lane; each lane that stops waits for what did not run.
    heads = []
    for lane in Lane:
        ran = [piece in run.spans for piece in order[lane]]
        assert ran == sorted(ran, reverse=True)
        heads += [order[lane][ran.index(False)]] if False in ran else []
    assert [piece for piece, _ in stop.waits] == heads
    for piece, before in stop.waits:
        assert wanted[piece] == before
        assert before not in run.spans
    for piece, (start, end) in run.spans.items():
        before = wanted[piece]
        assert end - start == costs.of(piece)
        assert before is None or run.spans[before][1] <= start


def test_a_stop_that_is_overlooked_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a beginning that forgets what a piece needs runs past the ring."""
    order = published_order(1)
    order[Lane.NETWORK].reverse()
    run, stop = run_as_far(order, LaneCosts())
    assert stop
    assert len(run.spans) == 1
    real = needs

    def forgetful(layers: int) -> dict[Piece, Piece | None]:
        return dict.fromkeys(real(layers))

    monkeypatch.setattr(lanes_run, "needs", forgetful)
    with pytest.raises(InputError, match="ring"):
        run_as_far(order, LaneCosts())


def test_a_ring_is_shown_with_the_rule_and_its_pieces() -> None:
    order = named_order(published_order(2))
    order["communication"].reverse()
    data = answer("lanes", {"order": {"layers": 2, **order}})
    rule, *waits = data["problem"]
    assert rule.startswith("the lanes of a pair must not wait for each other in a ring; got ")
    assert len(waits) == 2
    assert "That waits for" in waits[0]
    assert data["rows"][0]["length"] == "stops"
    assert data["sentence"].startswith("This order stops.")
    ran = [piece["ran"] for lane in data["lanes"] for piece in lane["pieces"]]
    assert len(ran) == 20
    assert set(ran) == {True, False}


def test_an_order_of_another_size_is_passed_over() -> None:
    order = {"layers": 1, **named_order(best_order(1, LaneCosts(combine=3)))}
    assert answer("lanes", {"order": order, "layers": 2})["order"]["layers"] == 2
    assert answer("lanes", {"order": order, "layers": 1, "combine": 3})["rows"][0]["length"] == "8"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"layers": 2}, "an order lists the pieces of both lanes"),
        ({"layers": 2, "computation": "A.F0", "communication": []}, "lists the pieces"),
        ({"layers": 2, "computation": ["F0"], "communication": []}, "a piece is named like"),
        ({"layers": 2, **named_order(published_order(1))}, "an order of 2 layers names layers"),
        ("first", "an order lists the pieces of both lanes"),
    ],
)
def test_what_is_no_order_is_refused(order: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        answer("lanes", {"order": order})


def test_a_missing_and_a_doubled_piece_are_named() -> None:
    order = {"layers": 1, **named_order(published_order(1))}
    lost = {**order, "computation": order["computation"][:-1]}  # type: ignore[index]
    with pytest.raises(InputError, match=r"no attention\(W\) of layer 0"):
        answer("lanes", {"layers": 1, "order": lost})
    twice = {**order, "communication": [*order["communication"], "C.F0"]}  # type: ignore[misc]
    with pytest.raises(InputError, match=r"runs every piece once, on its lane"):
        answer("lanes", {"layers": 1, "order": twice})


@pytest.mark.parametrize(
    ("state", "legal"), [({"layers": 9}, {"layers": 3}), ({"mlp": "0"}, {"mlp": 1})]
)
def test_what_is_offered(state: dict[str, Any], legal: dict[str, Any]) -> None:
    assert nearest("lanes", state) == legal


@given(st.integers(1, 3))
def test_names_go_there_and_back(layers: int) -> None:
    assert [piece_of(short_name(piece)) for piece in needs(layers)] == list(needs(layers))
    assert order_of(named_order(published_order(layers))) == published_order(layers)


@given(st.integers(1, 4), TIMES)
def test_lanes_as_text_stay_narrow_and_in_order(layers: int, time: Fraction) -> None:
    run = run_pair(published_order(layers), LaneCosts(dispatch=time))
    head, *rows = text_lanes(run, list(run.spans)[:1]).splitlines()
    assert head.startswith("time, 0 to ")
    assert max(map(len, rows)) <= 96
    for lane, row in zip(Lane, rows, strict=True):
        names = [short_name(piece) for piece in published_order(layers)[lane]]
        shown = [part.strip().strip("[]") for part in row[15:].rstrip("…").split("|")[1:-1]]
        assert shown == names[: len(shown)]
        assert shown
