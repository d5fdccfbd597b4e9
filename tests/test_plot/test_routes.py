"""A token's way, drawn: an arrow for each hop, from square to square, RDMA above and NVLink below."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from matplotlib.patches import FancyArrowPatch, Polygon

from dualpipe_ref import InputError
from dualpipe_ref.plot import Theme, draw_routes
from dualpipe_ref.plot.palette import palette
from dualpipe_ref.simulate.volumes import hops

from .test_plot_drawing import assert_tidy


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.data())
def test_every_hop_is_an_arrow_between_its_gpus(
    nodes: int, gpus: int, aggregated: bool, data: st.DataObject
) -> None:
    ranks = st.integers(0, nodes * gpus - 1)
    sender, wanted = data.draw(ranks), sorted(data.draw(st.sets(ranks)))
    way = hops(sender, wanted, gpus, aggregated=aggregated)
    figure = draw_routes({"x": way}, nodes=nodes, gpus_per_node=gpus, sender=sender, wanted=wanted)
    axes, _ = figure.axes
    places = {
        int(text.get_text()): text.get_position()
        for text in axes.texts
        if text.get_text().isdecimal()
    }
    assert sorted(places) == list(range(nodes * gpus))
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == len(way)
    for arrow, hop in zip(arrows, way, strict=True):
        (start, low), (end, _) = arrow._posA_posB  # type: ignore[attr-defined]
        assert (start, end) == (places[hop.source][0], places[hop.target][0])
        assert (low > places[hop.source][1]) == hop.rdma
        control = arrow.get_path().vertices[1][1]  # type: ignore[index]
        assert (control > low) == hop.rdma  # it bends away from the squares
    squares = [patch for patch in axes.patches if isinstance(patch, Polygon)]
    filled = [
        patch for patch in squares if patch.get_facecolor()[:3] != _rgb(palette("light").idle)
    ]
    assert len(filled) == len(wanted)
    assert sum(patch.get_linewidth() > 2 for patch in squares) == 1


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


@pytest.mark.parametrize("theme", get_args(Theme))
def test_it_is_tidy_in_every_theme(theme: Theme) -> None:
    wanted = [2, 4, 6, 7, 13, 14]
    ways = {"direct": hops(1, wanted, 4, aggregated=False), "aggregated": hops(1, wanted, 4)}
    figure = draw_routes(ways, nodes=4, gpus_per_node=4, sender=1, wanted=wanted, theme=theme)
    assert_tidy(figure)


def test_none_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        draw_routes({}, nodes=1, gpus_per_node=1, sender=0, wanted=[])


def test_sums_stand_where_rows_are_added() -> None:
    """On the way back, at the GPUs named and at no other, and the key explains them."""
    way = {"back": hops(0, [2, 3], 2)}
    size = {"nodes": 2, "gpus_per_node": 2, "sender": 0, "wanted": [2, 3]}
    figure = draw_routes(way, **size, sums={"back": {2: 2}})  # type: ignore[arg-type]
    picture, key = figure.axes
    marked = {text.get_text(): text.get_position()[0] for text in picture.texts}
    assert marked["+2"] == marked["2"]
    assert sum(text.get_text().startswith("+") for text in picture.texts) == 1
    assert "three rows added up" in [text.get_text() for text in key.texts]
    plain = draw_routes(way, **size)  # type: ignore[arg-type]
    assert not [text for axes in plain.axes for text in axes.texts if "+" in text.get_text()]
