"""What each rank holds at its peak, as stacked bars: a panel for each schedule, all to one scale."""

from __future__ import annotations

from collections.abc import Mapping
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
from dualpipe_ref.plot.footprint_data import GB, GROUPS, fills, groups_of
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.footprint import Footprint

WIDTH, PANEL = 10.0, 2.5  # inches; PANEL is a panel's height
LEFT, TOP, GAP, BOTTOM = 0.62, 0.62, 0.16, 0.5
HATCHES = {"other": "", "reserved": "...", "hidden": "//", "waiting": "\\\\", "useful": ""}


def draw_footprint(
    footprints: Mapping[str, Footprint],
    *,
    theme: Theme = "light",
    limits: Mapping[str, float] | None = None,
) -> Figure:
    """Peaks of all ranks in GB (10^9 bytes), by group; `limits` are lines such as {"80 GB": 80}.

    >>> from dualpipe_ref import build, simulate
    >>> from dualpipe_ref.simulate.footprint import footprint
    >>> from dualpipe_ref.simulate.fused_bytes import Deployment
    >>> schedule = build("1f1b", 4, 8)
    >>> found = footprint(simulate(schedule), Deployment().stages(schedule.placement))
    >>> len(draw_footprint({"1F1B": found}).axes[0].patches)
    20
    """
    if not footprints:
        raise InputError("a figure shows at least one schedule", "none")
    colours, count = palette(theme), len(footprints)
    figure = new_figure(WIDTH, TOP + PANEL + BOTTOM)
    width = (WIDTH - LEFT - 0.1 - GAP * (count - 1)) / count
    tops = [peak.total / GB for one in footprints.values() for peak in one.peaks]
    highest = 1.08 * max([*tops, *(limits or {}).values()])
    for place, (name, found) in enumerate(footprints.items()):
        axes = add_axes(figure, LEFT + place * (width + GAP), TOP, width, PANEL)
        _paint(axes, found, colours)
        axes.set(xlim=(-0.7, len(found.peaks) - 0.3), ylim=(0, highest))
        _dress(axes, name, colours, is_first=place == 0)
        for words, level in (limits or {}).items():
            axes.axhline(level, color=colours.ink, linewidth=0.9, linestyle=(0, (4, 2)))
            if place == count - 1:
                _put_limit(axes, words, level, colours)
    _put_legend(figure, colours)
    return figure


def _paint(axes: Axes, found: Footprint, colours: Palette) -> None:
    chosen = fills(colours)
    floors = [0.0] * len(found.peaks)
    rows = [groups_of(peak) for peak in found.peaks]
    for group, pattern in GROUPS.items():
        heights = [row[group] / GB for row in rows]
        axes.bar(
            range(len(rows)),
            heights,
            width=0.84,
            bottom=floors,
            color=chosen[group],
            hatch=HATCHES[pattern],
            edgecolor=colours.ink_on(chosen[group]),
            linewidth=0.3,
        )
        floors = [floor + height for floor, height in zip(floors, heights, strict=True)]


def _dress(axes: Axes, name: str, colours: Palette, *, is_first: bool) -> None:
    style: dict[str, Any] = {"fontsize": TEXT, "fontfamily": FONT, "color": colours.ink}
    axes.set_title(name, loc="left", fontweight="bold", pad=4, **style)
    axes.set_xlabel("rank", labelpad=1, **style)
    ranks = int(axes.get_xlim()[1]) + 1
    axes.set_xticks(sorted({0, ranks // 2, ranks - 1}))
    axes.tick_params(color=colours.muted, labelcolor=colours.ink, labelsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(colours.muted)
    if is_first:
        axes.set_ylabel("GB at the peak", **style)
    else:
        axes.tick_params(labelleft=False)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontfamily(FONT)


def _put_limit(axes: Axes, words: str, level: float, colours: Palette) -> None:
    axes.annotate(
        words,
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        color=colours.ink,
        fontsize=TEXT,
        fontfamily=FONT,
    )


def _put_legend(figure: Figure, colours: Palette) -> None:
    """Samples with their names in one line above the panels."""
    from matplotlib.patches import Rectangle

    chosen, left = fills(colours), LEFT
    width, height = figure.get_size_inches()
    for group, pattern in GROUPS.items():
        sample = Rectangle(
            (left / width, 1 - 0.26 / height),
            0.22 / width,
            0.14 / height,
            transform=figure.transFigure,
            facecolor=chosen[group],
            edgecolor=colours.ink_on(chosen[group]),
            hatch=HATCHES[pattern],
            linewidth=0.3,
        )
        figure.add_artist(sample)
        put_text(figure, left + 0.28, 0.12, group, colours.ink)
        left += 0.28 + text_width(group) + 0.28
