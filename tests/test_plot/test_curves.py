"""Curves: every one named, names apart and inside the picture, in every theme."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from dualpipe_ref import InputError
from dualpipe_ref.plot import Theme, draw_curves
from dualpipe_ref.plot.curves import COLOURS, LINES, Curve, Mark, apart
from dualpipe_ref.plot.palette import contrast, palette

from .test_plot_drawing import assert_tidy


def curves(count: int) -> list[Curve]:
    return [Curve(f"curve {one}", [0, 1, 2], [0, 1, 2 + one / 100]) for one in range(count)]


@pytest.mark.parametrize("theme", get_args(Theme))
def test_names_are_tidy_where_curves_end_at_one_height(theme: Theme) -> None:
    figure = draw_curves(
        curves(5), "x", "y", theme=theme, marks=[Mark(1, 1, "here")], limit=("a limit", 2.5)
    )
    assert_tidy(figure)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["a limit", *(f"curve {one}" for one in range(5)), "here"]


def test_curves_are_told_apart_without_colour() -> None:
    figure = draw_curves(curves(5), "x", "y")
    lines = figure.axes[0].lines
    assert len({(line.get_linestyle(), str(line._dash_pattern)) for line in lines}) == len(LINES)


@pytest.mark.parametrize("theme", get_args(Theme))
def test_curves_stand_out_from_the_page(theme: Theme) -> None:
    assert all(contrast(one, palette(theme).paper) >= 4.5 for one in COLOURS[theme])


@pytest.mark.parametrize("count", [0, 6])
def test_too_many_or_none_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="1 to 5 curves"):
        draw_curves(curves(count), "x", "y")


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6), st.floats(0.1, 3))
def test_levels_are_apart_in_order_and_keep_their_mean(
    wanted: list[float], distance: float
) -> None:
    levels = apart(wanted, distance)
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    assert all(levels[b] - levels[a] >= distance - 1e-9 for a, b in pairwise(order))
    assert sum(levels) == pytest.approx(sum(wanted), abs=1e-6)


def test_levels_that_are_apart_stay() -> None:
    assert apart([3, 1, 2], 0.5) == [3, 1, 2]
