"""What each rank holds over time, as one staircase a rank."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.plot.axis import drop_frame, name_ranks, name_times
from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    Figure,
    PolyCollection,
    add_axes,
    figure_of,
    new_figure,
    put_title,
)
from dualpipe_ref.plot.palette import Palette, Theme, mix, palette
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.memory import over_time
from dualpipe_ref.simulate.timeline import Timeline

Steps = list[tuple[Number, int]]

WIDTH, LEFT, RIGHT, AXIS = 11.0, 0.72, 0.62, 0.5  # inches
FILLED = 0.86  # of a row's height, at the highest peak of all ranks


def draw_memory(
    timeline: Timeline,
    *,
    theme: Theme = "light",
    title: str | None = None,
    axes: Axes | None = None,
    width: float | None = None,
) -> Figure:
    """Draw how many chunks (one micro-batch in one stage) each rank holds, over time.

    A chunk counts from the start of its F to the end of its W. All ranks have one scale; the peak
    stands at the right. On given `axes` only the staircases and the ranks' names are drawn.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import Costs, simulate
    >>> timeline = simulate(build("dualpipe", ranks=4, microbatches=8), Costs(FB=3))
    >>> [text.get_text() for text in draw_memory(timeline).axes[0].texts]
    ['chunks held', 'peak', '5', '5', '5', '5']
    """
    colours = palette(theme)
    if axes is not None:
        paint_memory(axes, timeline, colours)
        return figure_of(axes)
    width = width or WIDTH
    ranks = timeline.schedule.ranks
    top = 0.5 if title else 0.25
    figure = new_figure(width, top + memory_height(ranks) + AXIS)
    panel = add_axes(figure, LEFT, top, width - LEFT - RIGHT, memory_height(ranks))
    paint_memory(panel, timeline, colours)
    name_times(panel, timeline.makespan, colours, timeline.unit)
    if title:
        put_title(figure, title, colours, LEFT)
    return figure


def memory_height(ranks: int) -> float:
    """Inches for the staircases of all ranks."""
    return 0.3 * ranks if ranks <= 16 else 4.8


def paint_memory(axes: Axes, timeline: Timeline, palette: Palette) -> None:
    """One staircase a rank, all to one scale, with its peak at the right."""
    rows = [[(level.time, level.held) for level in levels] for levels in over_time(timeline)]
    peaks = [max((held for _, held in row), default=0) for row in rows]
    end = timeline.makespan
    axes.set(xlim=(0, float(end) or 1.0), ylim=(len(rows), 0))
    unit = FILLED / max(*peaks, 1)
    shapes = [_outline(row, rank, unit, end) for rank, row in enumerate(rows)]
    style: dict[str, Any] = {
        "facecolors": mix(palette.muted, palette.paper, 0.5),
        "edgecolors": palette.ink,
    }
    axes.add_collection(
        PolyCollection(shapes, linewidths=0.4, gid="held", **style),
        autolim=False,
    )
    name_ranks(axes, len(rows), palette)
    axes.set_xticks([])
    drop_frame(axes)
    _write_peaks(axes, peaks, palette)


def _outline(row: Steps, rank: int, unit: float, end: Number) -> list[tuple[float, float]]:
    """The staircase as a polygon that stands on the lower edge of the rank's row."""
    floor = rank + 0.94
    points = [(0.0, floor)]
    for time, held in row:
        points += [(float(time), points[-1][1]), (float(time), floor - held * unit)]
    return [*points, (float(end), points[-1][1]), (float(end), floor)]


def _write_peaks(axes: Axes, peaks: list[int], palette: Palette) -> None:
    named = [round(tick - 0.5) for tick in axes.get_yticks()]
    style: dict[str, Any] = {
        "fontsize": TEXT,
        "fontfamily": FONT,
        "color": palette.ink,
        "clip_on": False,
    }
    right = axes.get_xlim()[1] * 1.008
    for x, words in ((0.0, "chunks held"), (right, "peak")):
        axes.text(x, -0.02, words, va="bottom", **{**style, "color": palette.muted})
    for rank in named:
        axes.text(right, rank + 0.5, str(peaks[rank]), va="center", **style)
