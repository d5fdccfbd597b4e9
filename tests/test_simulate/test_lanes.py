"""The lanes of an overlapped pair: runs against an independent one, the best order against all orders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate import lane_search
from dualpipe_ref.simulate.lane_search import best_order, lower_bound
from dualpipe_ref.simulate.lanes import (
    Lane,
    LaneCosts,
    Part,
    Piece,
    backward_chain,
    forward_chain,
    needs,
    published_order,
    run_pair,
)

NUMBERS = st.integers(1, 6) | st.fractions(Fraction(1, 3), 5, max_denominator=4)
COSTS = st.builds(
    LaneCosts,
    *[NUMBERS] * 4,
    **dict.fromkeys(
        (
            "attention_input",
            "attention_weight",
            "mlp_input",
            "mlp_weight",
            "dispatch_back",
            "combine_back",
        ),
        st.none() | NUMBERS,
    ),
)


@st.composite
def orders(draw: st.DrawFn, layers: int) -> list[Piece]:
    """All pieces in an order in which each comes after what it waits for."""
    wanted, placed = needs(layers), []
    while len(placed) < len(wanted):
        ready = [
            piece
            for piece, before in wanted.items()
            if piece not in placed and (before is None or before in placed)
        ]
        placed.append(draw(st.sampled_from(ready)))
    return placed


def by_lane(pieces: list[Piece]) -> dict[Lane, list[Piece]]:
    return {lane: [piece for piece in pieces if piece.lane is lane] for lane in Lane}


def slowly(pieces: list[Piece], costs: LaneCosts) -> Any:
    """An independent run: when one piece after another is placed, how long the pair takes."""
    ends: dict[Piece, Any] = {}
    for place, piece in enumerate(pieces):
        same = [ends[other] for other in pieces[:place] if other.lane is piece.lane]
        before = needs(1 + max(one.layer for one in pieces))[piece]
        ends[piece] = max([*same, ends[before] if before else 0, 0]) + costs.of(piece)
    return max(ends.values())


@given(st.integers(1, 3).flatmap(orders), COSTS)
def test_a_run_is_what_an_independent_one_finds(pieces: list[Piece], costs: LaneCosts) -> None:
    run = run_pair(by_lane(pieces), costs)
    assert run.length == slowly(pieces, costs)
    for lane in Lane:
        spans = sorted(span for piece, span in run.spans.items() if piece.lane is lane)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for piece, before in needs(1 + max(one.layer for one in pieces)).items():
        assert before is None or run.spans[before][1] <= run.spans[piece][0]


@settings(max_examples=60)
@given(st.integers(1, 3).flatmap(orders), COSTS)
def test_no_order_beats_the_best_and_none_the_bound(pieces: list[Piece], costs: LaneCosts) -> None:
    layers = 1 + max(piece.layer for piece in pieces)
    best = run_pair(best_order(layers, costs), costs).length
    assert lower_bound(layers, costs) <= best <= run_pair(by_lane(pieces), costs).length
    assert best <= run_pair(published_order(layers), costs).length


def every_order(layers: int) -> Iterator[list[Piece]]:
    """All orders of all pieces that let each come after what it waits for."""
    wanted = needs(layers)

    def grow(placed: list[Piece]) -> Iterator[list[Piece]]:
        if len(placed) == len(wanted):
            yield placed
        for piece, before in wanted.items():
            if piece not in placed and (before is None or before in placed):
                yield from grow([*placed, piece])

    return grow([])


ALL_OF_ONE_LAYER = list(
    {
        tuple(map(tuple, by_lane(pieces).values())): by_lane(pieces) for pieces in every_order(1)
    }.values()
)


@settings(max_examples=25)
@given(COSTS)
def test_of_one_layer_the_best_is_the_best_of_all(costs: LaneCosts) -> None:
    assert len(ALL_OF_ONE_LAYER) == 109
    lengths = [run_pair(order, costs).length for order in ALL_OF_ONE_LAYER]
    assert run_pair(best_order(1, costs), costs).length == min(lengths)


def test_a_search_that_looks_away_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a search that drops ways which nothing beats gives longer orders."""
    costs = LaneCosts(dispatch=2, combine=1, attention=3, mlp=1, mlp_weight=Fraction(1, 2))
    right = run_pair(best_order(2, costs), costs).length

    def keep_the_first(nodes: list[Any], new: Any) -> None:
        if not nodes:
            nodes.append(new)

    monkeypatch.setattr(lane_search, "_keep", keep_the_first)
    assert run_pair(best_order(2, costs), costs).length > right


@given(st.integers(1, 8))
def test_the_published_order_hides_all_communication_of_equal_parts(layers: int) -> None:
    run = run_pair(published_order(layers), LaneCosts())
    assert run.length == run.busy(Lane.COMPUTE) == 6 * layers == lower_bound(layers, LaneCosts())
    assert run.exposed == 0


@pytest.mark.parametrize(("layers", "best", "published"), [(2, 24, 26), (4, 47, 52), (8, 93, 104)])
def test_the_published_order_is_not_always_the_best(layers: int, best: int, published: int) -> None:
    costs = LaneCosts(dispatch=2, combine=1, attention=3, mlp=1, mlp_weight=Fraction(1, 2))
    assert run_pair(published_order(layers), costs).length == published
    assert run_pair(best_order(layers, costs), costs).length == best


def test_chains_and_weights_are_all_there_is() -> None:
    pieces = set(needs(3))
    chains = {*forward_chain(3), *backward_chain(3)}
    weights = pieces - chains
    assert len(pieces) == 30
    assert {(piece.part, piece.kind) for piece in weights} == {
        (Part.MLP, OpKind.W),
        (Part.ATTENTION, OpKind.W),
    }


def broken(change: str) -> dict[Lane, list[Piece]]:
    order = published_order(2)
    compute = order[Lane.COMPUTE]
    if change == "lost":
        compute.pop()
    elif change == "twice":
        compute.append(compute[0])
    elif change == "lane":
        order[Lane.NETWORK].append(compute.pop())
    elif change == "ring":
        order[Lane.NETWORK].reverse()
    return order


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lost", "runs every piece once; got no attention"),
        ("twice", "as number 12 of computation"),
        ("lane", "of communication"),
        ("ring", "must not wait for each other in a ring"),
    ],
)
def test_an_order_that_is_none_is_refused(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_pair(broken(change), LaneCosts())


def test_what_the_search_cannot_do_is_said() -> None:
    with pytest.raises(InputError, match="nearest legal: layers = 8"):
        best_order(9, LaneCosts(mlp=2))
    with pytest.raises(InputError, match="layers must be an int of at least 1"):
        published_order(0)
    with pytest.raises(InputError, match="mlp_input must be a positive, finite number"):
        LaneCosts(mlp_input=0)
