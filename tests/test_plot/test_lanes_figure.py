"""The picture of lanes: cells where the run has them, the bound, tidy words in every theme."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args

import pytest

pytest.importorskip("matplotlib")

from dualpipe_ref import InputError
from dualpipe_ref.plot import Theme, draw_lanes
from dualpipe_ref.plot.palette import palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.lane_search import best_order, lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, PairRun, published_order, run_pair

from .test_plot_drawing import assert_tidy

COSTS = LaneCosts(combine=2, dispatch=Fraction(3, 2))


def runs(layers: int = 2) -> dict[str, PairRun]:
    orders = {"published": published_order(layers), "best": best_order(layers, COSTS)}
    return {name: run_pair(order, COSTS) for name, order in orders.items()}


@pytest.mark.parametrize("theme", get_args(Theme))
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_words_are_tidy(theme: Theme, layers: int) -> None:
    assert_tidy(draw_lanes(runs(layers), theme=theme, bound=lower_bound(layers, COSTS)))


@pytest.mark.parametrize("width", [7.0, 14.0])
def test_words_are_tidy_at_other_widths(width: float) -> None:
    assert_tidy(draw_lanes(runs(), width=width))


def boxes(axes: Any, kind: OpKind) -> set[tuple[float, float, int]]:
    """(start, end, lane) of the cells of a kind."""
    found = [one for one in axes.collections if one.get_gid() == f"{kind}0"]
    extents = [path.get_extents() for one in found for path in one.get_paths()]
    return {(box.x0, box.x1, int(box.y0)) for box in extents}


def test_cells_are_the_spans_of_the_run_in_the_colours_of_their_kinds() -> None:
    run = runs()["best"]
    axes = draw_lanes({"best": run}).axes[0]
    lanes = list(Lane)
    for kind in (OpKind.F, OpKind.I, OpKind.W):
        wanted = {
            (float(start), float(end), lanes.index(piece.lane))
            for piece, (start, end) in run.spans.items()
            if piece.kind is kind
        }
        assert boxes(axes, kind) == wanted
        (cells,) = (one for one in axes.collections if one.get_gid() == f"{kind}0")
        fill = palette("light").fill(kind)
        assert [round(255 * part) for part in cells.get_facecolor()[0][:3]] == [
            int(fill[place : place + 2], 16) for place in (1, 3, 5)
        ]


def test_the_bound_is_marked_on_every_pair_and_named() -> None:
    bound = lower_bound(2, COSTS)
    figure = draw_lanes(runs(), bound=bound)
    marks = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "bound"]
    assert [list(line.get_xdata()) for line in marks] == [[float(bound)] * 2] * 2
    assert any(f"no order is shorter than {bound}" in text.get_text() for text in figure.texts)
    assert not [line for axes in draw_lanes(runs()).axes for line in axes.lines]


def test_lengths_stand_beside_the_names() -> None:
    run = run_pair(published_order(2), LaneCosts(combine=2))
    said = [text.get_text() for text in draw_lanes({"published": run}).texts]
    assert "takes 14, 16.7 % of the communication exposed" in said


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError, match="at least one run"):
        draw_lanes({})
