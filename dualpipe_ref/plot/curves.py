"""Curves of one quantity against another, each named where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dualpipe_ref.plot.figure import (
    FONT,
    POINTS,
    TEXT,
    Axes,
    Figure,
    add_axes,
    new_figure,
    size_in_inches,
    text_width,
)
from dualpipe_ref.plot.palette import CURVE_COLOURS as COLOURS
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError

LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
WIDTH, HEIGHT = 8.0, 3.4  # inches
LEFT, TOP, BOTTOM, GAP = 0.62, 0.12, 0.5, 0.1
BOLD = 1.15  # of a regular text's width
LINE = 1.35 * TEXT / POINTS  # inches from one name to the next


class Curve(NamedTuple):
    """A line through (x, y), named at its end; `dots` where its points were measured one by one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False


class Mark(NamedTuple):
    """A point that the text speaks of, with a word or a number at its left, above it or below."""

    x: float
    y: float
    text: str
    below: bool = False


def draw_curves(
    curves: Sequence[Curve],
    across: str,
    up: str,
    *,
    theme: Theme = "light",
    marks: Sequence[Mark] = (),
    limit: tuple[str, float] | None = None,
    lowest: float | None = 0,
    highest: float | None = None,
    height: float = HEIGHT,
) -> Figure:
    """Up to five curves on one pair of axes; `across` and `up` say what the axes show, with its unit.

    `limit` is a level with its name, drawn as a thin line. The vertical axis begins at `lowest` (None: where the
    data do) and ends at `highest`.

    >>> figure = draw_curves([Curve("square", [0, 1, 2], [0, 1, 4])], "x", "x times x")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['square']
    """
    if not 1 <= len(curves) <= len(LINES):
        raise InputError("a figure has 1 to 5 curves", f"{len(curves)}", "1")
    colours = palette(theme)
    right = GAP + BOLD * max(text_width(curve.name) for curve in curves) + 0.1
    figure = new_figure(WIDTH, height)
    axes = add_axes(figure, LEFT, TOP, WIDTH - LEFT - right, height - TOP - BOTTOM)
    for curve, colour, line in zip(curves, COLOURS[theme], LINES, strict=False):
        axes.plot(
            curve.x,
            curve.y,
            color=colour,
            linestyle=line,
            linewidth=2,
            marker="o" if curve.dots else "",
            markersize=4,
        )
    axes.set_xmargin(0.01)
    axes.set_ylim(bottom=lowest, top=highest)
    axes.set_xticks(_inside(axes.get_xticks(), axes.get_xlim()))
    axes.set_yticks(_inside(axes.get_yticks(), axes.get_ylim()))
    if limit:
        _put_limit(axes, limit, colours)
    _name_axes(axes, across, up, colours)
    _name_curves(axes, curves, COLOURS[theme])
    for mark in marks:
        _put_mark(axes, mark, colours)
    return figure


def _inside(ticks: Iterable[float], limits: tuple[float, float]) -> list[float]:
    return [float(tick) for tick in ticks if limits[0] <= tick <= limits[1]]


def _put_limit(axes: Axes, limit: tuple[str, float], palette: Palette) -> None:
    name, level = limit
    axes.axhline(level, color=palette.muted, linewidth=0.8)
    axes.annotate(
        name,
        (0, level),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        color=palette.muted,
        fontsize=TEXT,
        fontfamily=FONT,
    )


def _name_axes(axes: Axes, across: str, up: str, palette: Palette) -> None:
    style: dict[str, Any] = {"color": palette.ink, "fontsize": TEXT, "fontfamily": FONT}
    axes.set_xlabel(across, **style)
    axes.set_ylabel(up, **style)
    axes.tick_params(color=palette.muted, labelcolor=palette.ink, labelsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.muted)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontfamily(FONT)


def _name_curves(axes: Axes, curves: Sequence[Curve], colours: Sequence[str]) -> None:
    """Each name right of the axes, level with its curve's end, or as near to it as the others allow."""
    low, high = axes.get_ylim()
    inches = size_in_inches(axes)[1]
    wanted = [min(max((curve.y[-1] - low) / (high - low), 0), 1) * inches for curve in curves]
    for curve, colour, level in zip(curves, colours, apart(wanted, LINE), strict=False):
        axes.annotate(
            curve.name,
            (1, level / inches),
            xycoords="axes fraction",
            xytext=(GAP * POINTS, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=TEXT,
            fontfamily=FONT,
            fontweight="bold",
            annotation_clip=False,
        )


def apart(wanted: Sequence[float], distance: float) -> list[float]:
    """Levels in the same order, each at least `distance` from the next, and near to what was wanted.

    Groups that touch are moved together, so that their mean stays where it was.

    >>> apart([0, 0.1, 5], 1)
    [-0.45, 0.55, 5.0]
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    groups: list[list[int]] = []
    for place in order:
        groups.append([place])
        while len(groups) > 1 and _top(groups[-2], wanted, distance) > _bottom(
            groups[-1], wanted, distance
        ):
            last = groups.pop()
            groups[-1] += last
    levels = [0.0] * len(wanted)
    for group in groups:
        for number, place in enumerate(group):
            levels[place] = round(_bottom(group, wanted, distance) + distance * (number + 0.5), 12)
    return levels


def _bottom(group: Sequence[int], wanted: Sequence[float], distance: float) -> float:
    return sum(wanted[place] for place in group) / len(group) - distance * len(group) / 2


def _top(group: Sequence[int], wanted: Sequence[float], distance: float) -> float:
    return _bottom(group, wanted, distance) + distance * len(group)


def _put_mark(axes: Axes, mark: Mark, palette: Palette) -> None:
    axes.plot([mark.x], [mark.y], "o", color=palette.ink, markersize=5)
    axes.annotate(
        mark.text,
        (mark.x, mark.y),
        xytext=(-6, -6 - TEXT if mark.below else 6),
        textcoords="offset points",
        ha="right",
        color=palette.ink,
        fontsize=TEXT,
        fontfamily=FONT,
    )
