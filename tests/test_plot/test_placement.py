"""Who holds which stage, drawn: every stage where its placement has it, arrows along the model, in every theme."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from matplotlib.patches import FancyArrowPatch

from dualpipe_ref import InputError
from dualpipe_ref.plot import Theme, draw_placements
from dualpipe_ref.plot.palette import palette
from dualpipe_ref.schedule import Placement

from .test_plot_drawing import assert_tidy

placements = st.one_of(
    st.builds(Placement.linear, st.integers(2, 6)),
    st.builds(Placement.v_shape, st.integers(2, 6)),
    st.builds(Placement.bidirectional, st.integers(2, 6)),
    st.builds(Placement.looped, st.integers(2, 5), st.integers(2, 3)),
)


@given(placements)
def test_each_stage_stands_on_its_rank_and_each_arrow_leads_to_the_next(
    placement: Placement,
) -> None:
    axes = draw_placements({"x": placement}).axes[0]
    shown = {
        (int(text.get_position()[0]), int(text.get_position()[1]), text.get_text())
        for text in axes.texts
        if "rank" not in text.get_text()
    }
    wanted = {
        (rank, slot, str(stage))
        for rank, held in enumerate(placement.homes)
        for slot, (_, stage) in enumerate(held)
    }
    assert shown == wanted
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    steps = [pair for route in placement.routes for pair in pairwise(route)]
    assert len(arrows) == len(steps)
    local = [patch for patch in arrows if patch.get_linewidth() > 2]
    assert len(local) == sum(one[0] == other[0] for one, other in steps)


@pytest.mark.parametrize("theme", get_args(Theme))
def test_it_is_tidy_in_every_theme(theme: Theme) -> None:
    both = {"two copies": Placement.bidirectional(8), "a V": Placement.v_shape(4)}
    figure = draw_placements(both, theme=theme)
    assert_tidy(figure)
    used = {text.get_color() for axes in figure.axes for text in axes.texts}
    assert palette(theme).muted in used


def test_none_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        draw_placements({})
