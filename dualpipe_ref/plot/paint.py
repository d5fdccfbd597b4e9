"""The marks of a timeline picture on given axes: cells, bars, outlines, numbers, arrows.

A rank's row is the band from y = rank to y = rank + 1, counted downwards; x is time. Each kind of
mark is one collection, found again by its `gid`: "idle", "F0" (kind and slot), "bars", "overlap",
"stretch FB", "highlight".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from dualpipe_ref.plot.cells import Cell, stretches
from dualpipe_ref.plot.figure import (
    FONT,
    POINTS,
    Axes,
    FancyArrowPatch,
    PolyCollection,
    withStroke,
)
from dualpipe_ref.plot.highlight import Highlight, Place
from dualpipe_ref.plot.palette import BARS, Palette, number_style
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.timeline import Timeline

Box = tuple[float, float, float, float]  # left, top, right, bottom

MARGIN = 0.08  # of a row, left free above and below its cells
DENSE = 1.2  # points: below this typical width cells are joined by kind
SMALLEST_NUMBER = 4.5  # points
LARGEST_NUMBER = 9.0
DIGIT = 0.7  # width of a bold digit, in font sizes


class Scale(NamedTuple):
    """Points on paper: of one unit of time, of one row, and of the typical cell's width."""

    time: float
    row: float
    cell: float

    @property
    def dense(self) -> bool:
        return self.cell < DENSE


def scale_of(inches: tuple[float, float], drawn: Sequence[Cell], span: Number, rows: int) -> Scale:
    """The scale at which `span` units of time and `rows` rows fill this width and height."""
    time = inches[0] * POINTS / (float(span) or 1.0)
    typical = median(float(cell.width) for cell in drawn) if drawn else 1.0
    return Scale(time, inches[1] * POINTS / rows, typical * time)


def box_of(rank: int, start: Number, end: Number) -> Box:
    """The part of a rank's row that its cells fill between two times."""
    return float(start), rank + MARGIN, float(end), rank + 1 - MARGIN


def add_boxes(axes: Axes, boxes: Iterable[Box], gid: str, **style: Any) -> None:
    """Draw the boxes as one collection."""
    corners = [
        ((left, top), (right, top), (right, bottom), (left, bottom))
        for left, top, right, bottom in boxes
    ]
    if corners:
        axes.add_collection(PolyCollection(corners, gid=gid, **style), autolim=False)


def paint_idle(axes: Axes, ranks: int, makespan: Number, palette: Palette) -> None:
    """A strip behind each rank's cells: it shows wherever no cell covers it."""
    paint_idle_boxes(axes, [box_of(rank, 0, makespan) for rank in range(ranks)], palette)


def paint_idle_boxes(axes: Axes, boxes: Iterable[Box], palette: Palette) -> None:
    """Idle time; hatched in print, where a forward is as white as the paper."""
    hatch = "////" if palette.name == "print" else None
    edges = "#B0B0B0" if hatch else palette.muted
    style = {"facecolors": palette.idle, "edgecolors": edges, "linewidths": 0.3}
    add_boxes(axes, boxes, "idle", zorder=1, hatch=hatch, **style)


def paint_cells(
    axes: Axes, drawn: Sequence[Cell], palette: Palette, scale: Scale, slots: int
) -> None:
    """Fill every cell by kind and slot, with its kind's bars; outline overlapped pairs."""
    groups: dict[tuple[OpKind, int], list[Box]] = defaultdict(list)
    for cell in drawn:
        groups[cell.kind, cell.slot].append(box_of(cell.rank, cell.start, cell.start + cell.width))
    hairline = min(0.7, scale.cell / 8)
    for (kind, slot), boxes in sorted(groups.items()):
        fill = palette.fill(kind, slot, slots)
        line = palette.muted if palette.name == "print" else palette.paper
        style = {"facecolors": fill, "edgecolors": line, "linewidths": hairline}
        add_boxes(axes, boxes, f"{kind}{slot}", zorder=2, **style)
        if scale.row >= 8:
            bars = {"facecolors": palette.ink_on(fill), "alpha": 0.6, "linewidths": 0}
            add_boxes(axes, _bars(kind, boxes, scale), "bars", zorder=2.5, **bars)
    width = min(1.3, scale.cell / 5)
    outline = {"facecolors": "none", "edgecolors": palette.border, "linewidths": width}
    add_boxes(axes, _pairs(drawn), "overlap", zorder=3, joinstyle="miter", **outline)


def _bars(kind: OpKind, boxes: Iterable[Box], scale: Scale) -> list[Box]:
    """Thin boxes inside the cells, clear of their edges so that neighbours stay apart."""
    found: list[Box] = []
    thick = 1.6 / scale.row
    inset = min(2.0, scale.cell / 6) / scale.time
    gap = 1.1 / scale.row
    for left, top, right, bottom in boxes:
        if BARS[kind].top:
            found.append((left + inset, top + gap, right - inset, top + gap + thick))
        if BARS[kind].bottom:
            found.append((left + inset, bottom - gap - thick, right - inset, bottom - gap))
    return found


def _pairs(drawn: Sequence[Cell]) -> list[Box]:
    overlapped = [cell for cell in drawn if cell.part_of_overlap]
    return [
        box_of(forward.rank, forward.start, backward.start + backward.width)
        for forward, backward in zip(overlapped[::2], overlapped[1::2], strict=True)
    ]


def paint_stretches(axes: Axes, drawn: Sequence[Cell], palette: Palette, scale: Scale) -> None:
    """Cells too narrow to be seen one by one: fill what neighbours of one kind cover together."""
    groups: dict[OpKind, list[Box]] = defaultdict(list)
    for stretch in stretches(drawn, gap=0.1 / scale.time):
        groups[stretch.kind].append(box_of(stretch.rank, stretch.start, stretch.end))
    for kind, boxes in sorted(groups.items()):
        add_boxes(
            axes,
            boxes,
            f"stretch {kind}",
            zorder=2,
            facecolors=palette.fill(kind),
            linewidths=0,
        )


def number_size(drawn: Sequence[Cell], labels: Sequence[str], scale: Scale) -> float:
    """Largest font size (points) at which 19 of 20 numbers fit their cells; 0 if too small."""
    if not drawn:
        return 0.0
    fits = sorted(
        (float(cell.width) * scale.time - 1.2) / (DIGIT * len(label))
        for cell, label in zip(drawn, labels, strict=True)
    )
    size = min(fits[len(fits) // 20], 0.5 * scale.row, LARGEST_NUMBER)
    return size if size >= SMALLEST_NUMBER else 0.0


def paint_numbers(
    axes: Axes,
    drawn: Sequence[Cell],
    labels: Sequence[str],
    size: float,
    palette: Palette,
    slots: int,
) -> None:
    """The micro-batch number in the middle of each cell."""
    for cell, label in zip(drawn, labels, strict=True):
        weight, style = number_style(cell.slot)
        axes.text(
            float(cell.start + cell.width / 2),
            cell.rank + 0.5,
            label,
            ha="center",
            va="center_baseline",
            fontsize=size,
            fontweight=weight,
            fontstyle=style,
            fontfamily=FONT,
            color=palette.ink_on(palette.fill(cell.kind, cell.slot, slots)),
            zorder=4,
            clip_on=True,
        )


# Where arrows leave and arrive, as shares of an op's width: those down the ranks keep to the right,
# those up to the left, so that two ranks that wait for each other have two arrows.
LANES = {1: (0.8, 0.8), -1: (0.2, 0.2), 0: (0.8, 0.2)}


def paint_highlight(axes: Axes, timeline: Timeline, highlight: Highlight, palette: Palette) -> None:
    """Outline ops and draw arrows between them."""
    outlined = [(rank, i) for rank, i in highlight.ops if i < len(timeline.starts[rank])]
    boxes = [box_of(rank, timeline.starts[rank][i], timeline.ends[rank][i]) for rank, i in outlined]
    halo = [withStroke(linewidth=4, foreground=palette.paper)]
    style = {"facecolors": "none", "edgecolors": palette.highlight, "path_effects": halo}
    add_boxes(axes, boxes, "highlight", zorder=5, linewidths=2.2, joinstyle="miter", **style)
    for source, target in highlight.arrows:
        down = (target[0] > source[0]) - (target[0] < source[0])
        leaves, arrives = LANES[down]
        axes.add_patch(
            FancyArrowPatch(
                _anchor(timeline, source, leaves, down),
                _anchor(timeline, target, arrives, -down),
                arrowstyle="-|>,head_length=4,head_width=2.4",
                connectionstyle=f"arc3,rad={0 if down else -0.35}",
                path_effects=halo,
                color=palette.highlight,
                linewidth=1.4,
                shrinkA=0,
                shrinkB=0,
                zorder=6,
                gid="arrow",
            )
        )


def _anchor(timeline: Timeline, place: Place, share: float, side: int) -> tuple[float, float]:
    """A point in the op's box, `share` of its width from the left; the rank's end for no op.

    It is off the middle, so that arrows leave the numbers readable.
    """
    rank, index = place
    height = rank + 0.5 + 0.15 * side
    if index == len(timeline.starts[rank]):
        return float(max(timeline.ends[rank], default=0)), height
    start, end = float(timeline.starts[rank][index]), float(timeline.ends[rank][index])
    return start + (end - start) * share, height
