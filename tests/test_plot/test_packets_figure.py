"""The picture of link use: a bar as high as the messages of its tick, in every theme."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

pytest.importorskip("matplotlib")

from dualpipe_ref import InputError
from dualpipe_ref.plot import Theme, draw_packets
from dualpipe_ref.plot.packets_view import case_of, run_case

from .test_plot_drawing import assert_tidy

RAN = run_case(case_of({"tokens": 3, "node_limit": 1})).traffic


def test_bars_are_messages_of_ticks() -> None:
    figure = draw_packets(RAN)
    pairs = [(way, link) for way in RAN for link in ("RDMA", "NVLink")]
    assert len(figure.axes) == len(pairs)
    for axes, (way, link) in zip(figure.axes, pairs, strict=True):
        counted = Counter(one.tick for one in RAN[way].packets if one.kind == link)
        heights = {round(bar.get_x() + 0.4): bar.get_height() for bar in axes.patches}  # type: ignore[attr-defined]
        assert {tick: height for tick, height in heights.items() if height} == counted
        assert axes.get_ylabel() == link


@pytest.mark.parametrize("theme", get_args(Theme))
def test_it_is_tidy_in_every_theme(theme: Theme) -> None:
    assert_tidy(draw_packets(RAN, theme=theme))


def test_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="at least one run"):
        draw_packets({})
