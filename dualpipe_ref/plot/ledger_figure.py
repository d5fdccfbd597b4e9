"""The stacked bars of a live view as a matplotlib figure: one row a bar, to one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    Figure,
    add_axes,
    new_figure,
    put_text,
    text_width,
)
from dualpipe_ref.schedule.errors import InputError

WIDTH, ROW = 10.0, 0.36  # inches; ROW is a bar with the room around it
TOP, BOTTOM, GAP = 0.34, 0.46, 0.12
HATCHES = {"other": "", "reserved": "...", "hidden": "---", "waiting": "//", "rest": "xx"}
Bars = Sequence[Mapping[str, Any]]


def draw_ledger(bars: Bars, colours: Mapping[str, Any], across: str = "seconds") -> Figure:
    """Bars as `chooser_data` makes them, with `colours` of a theme as `bar_colours` has them.

    >>> from dualpipe_ref.plot.chooser_data import colours_of
    >>> from dualpipe_ref.plot.palette import palette
    >>> part = {"label": "bubble", "value": 2.0, "text": "2 s", "kind": "waiting"}
    >>> figure = draw_ledger([{"label": "one", "parts": [part]}], colours_of(palette("light")))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['one']
    """
    if not bars:
        raise InputError("a figure shows at least one bar", "none")
    left = GAP + 1.1 * max(text_width(bar["label"]) for bar in bars)
    height = ROW * len(bars)
    figure = new_figure(WIDTH, TOP + height + BOTTOM)
    axes = add_axes(figure, left, TOP, WIDTH - left - 0.12, height)
    for place, bar in enumerate(bars):
        _put_bar(axes, place, bar, colours)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    longest = max(sum(part["value"] for part in bar["parts"]) for bar in bars)
    axes.set_xlim(0, 1.01 * longest)
    _dress(axes, across, colours)
    _put_legend(figure, bars, colours, left)
    return figure


def _put_bar(axes: Axes, place: int, bar: Mapping[str, Any], colours: Mapping[str, Any]) -> None:
    begin = 0.0
    for part in bar["parts"]:
        axes.barh(place, part["value"], left=begin, height=0.7, **_paint(part["kind"], colours))
        begin += part["value"]
    axes.annotate(
        bar["label"],
        (0, place),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=colours["ink"],
        fontsize=TEXT,
        fontfamily=FONT,
        annotation_clip=False,
    )


def _paint(kind: str, colours: Mapping[str, Any]) -> dict[str, Any]:
    part = colours["parts"][kind]
    return {
        "facecolor": part["fill"],
        "edgecolor": part["line"],
        "hatch": HATCHES.get(kind, ""),
        "linewidth": 0.4,
    }


def _dress(axes: Axes, across: str, colours: Mapping[str, Any]) -> None:
    axes.set_yticks([])
    axes.set_xlabel(across, color=colours["ink"], fontsize=TEXT, fontfamily=FONT)
    axes.tick_params(color=colours["muted"], labelcolor=colours["ink"], labelsize=TEXT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines[["bottom"]].set_color(colours["muted"])
    for label in axes.get_xticklabels():
        label.set_fontfamily(FONT)


def _put_legend(figure: Figure, bars: Bars, colours: Mapping[str, Any], left: float) -> None:
    """Samples with their names in one line above the bars."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    for kind, label in {part["kind"]: part["label"] for part in bars[0]["parts"]}.items():
        figure.add_artist(
            Rectangle(
                (left / width, 1 - 0.24 / height),
                0.26 / width,
                0.15 / height,
                transform=figure.transFigure,
                **_paint(kind, colours),
            )
        )
        put_text(figure, left + 0.32, 0.1, label, colours["ink"])
        left += 0.32 + text_width(label) + 0.26
