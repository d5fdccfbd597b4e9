"""The picture of who holds which stage: a column for each rank, a box for each stage, arrows along the model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    FancyArrowPatch,
    Figure,
    add_axes,
    new_figure,
    put_title,
)
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind, Placement

WIDTH = 9.0  # inches
LEFT, HEAD, ROW, FOOT = 0.1, 0.4, 0.46, 0.3
BOX = (0.62, 0.56)  # width and height of a box, as shares of its column and row


def draw_placements(placements: Mapping[str, Placement], *, theme: Theme = "light") -> Figure:
    """Draw placements, named by their keys, one above the other; a rank has the same width in all.

    A box is a stage and says its number, its row the slot. Arrows lead from each stage to the next; the
    stages of a second copy of the model are slanted, as its micro-batches are in a timeline. Raises
    `InputError` for none.

    >>> figure = draw_placements({"a V": Placement.v_shape(2)})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '1', '2', '3', 'rank 0', 'rank 1']
    """
    if not placements:
        raise InputError("a picture of placements has at least one", "none", "one placement")
    colours = palette(theme)
    widest = max(placement.ranks for placement in placements.values())
    heights = [HEAD + ROW * one.slots + FOOT for one in placements.values()]
    figure = new_figure(WIDTH, sum(heights))
    column, top = (WIDTH - 2 * LEFT) / widest, 0.0
    for (name, placement), height in zip(placements.items(), heights, strict=True):
        put_title(figure, name, colours, LEFT, top + 0.12)
        size = column * placement.ranks, ROW * placement.slots + FOOT
        axes = add_axes(figure, LEFT, top + HEAD, *size)
        axes.set(xlim=(0, placement.ranks), ylim=(placement.slots + FOOT / ROW, 0))
        axes.set_axis_off()
        _paint(axes, placement, colours)
        top += height
    return figure


def _paint(axes: Axes, placement: Placement, colours: Palette) -> None:
    for direction, route in enumerate(placement.routes):
        fill = colours.fill(OpKind.F, direction)
        for stage, (rank, slot) in enumerate(route):
            _box(axes, rank, slot, fill, colours)
            style = "italic" if direction else "normal"
            _words(axes, rank, slot + 0.5, str(stage), colours.ink_on(fill), style)
        for one, other in pairwise(route):
            _arrow(axes, one, other, colours)
    for rank in range(placement.ranks):
        _words(axes, rank, placement.slots + 0.3, f"rank {rank}", colours.muted, "normal")


def _box(axes: Axes, rank: int, slot: int, fill: str, colours: Palette) -> None:
    left, top = rank + (1 - BOX[0]) / 2, slot + (1 - BOX[1]) / 2
    right, bottom = left + BOX[0], top + BOX[1]
    corners = (left, right, right, left), (top, top, bottom, bottom)
    axes.fill(*corners, facecolor=fill, edgecolor=colours.border, linewidth=0.8)


def _words(axes: Axes, rank: int, level: float, words: str, ink: str, style: str) -> None:
    axes.text(
        rank + 0.5,
        level,
        words,
        ha="center",
        va="center",
        color=ink,
        fontsize=TEXT,
        fontfamily=FONT,
        fontstyle=style,
    )


def _arrow(axes: Axes, one: tuple[int, int], other: tuple[int, int], colours: Palette) -> None:
    """From box to box: across between ranks, down or up within one, and slanted where the model goes round."""
    ends = []
    across, along = other[0] - one[0], other[1] - one[1]
    for (rank, slot), side in ((one, 1), (other, -1)):
        x, y = rank + 0.5, slot + 0.5
        if across:
            x += side * (1 if across > 0 else -1) * BOX[0] / 2
        else:
            y += side * (1 if along > 0 else -1) * BOX[1] / 2
        ends.append((x, y))
    local = across == 0
    axes.add_patch(
        FancyArrowPatch(
            *ends,
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=1,
            shrinkB=1,
            linewidth=2.2 if local else 1.1,
            color=colours.highlight if local else colours.ink,
        )
    )
