"""The picture of one timeline: a row a rank, time to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from dualpipe_ref.plot.axis import drop_frame, name_ranks, name_times
from dualpipe_ref.plot.cells import Cell, cells
from dualpipe_ref.plot.figure import (
    Axes,
    Figure,
    add_axes,
    figure_of,
    new_figure,
    put_title,
    size_in_inches,
)
from dualpipe_ref.plot.highlight import Highlight, as_highlight
from dualpipe_ref.plot.legend import ROW, Entry, entries, lines_of, put_legend
from dualpipe_ref.plot.memory import RIGHT as MEMORY_RIGHT
from dualpipe_ref.plot.memory import memory_height, paint_memory
from dualpipe_ref.plot.paint import (
    SMALLEST_NUMBER,
    Scale,
    number_size,
    paint_cells,
    paint_highlight,
    paint_idle,
    paint_numbers,
    paint_stretches,
    scale_of,
)
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import Costs, Number
from dualpipe_ref.simulate.timeline import Timeline

Numbers = Literal["auto", "all", "none"]

WIDTH = 11.0  # inches
LEFT = 0.72  # for the ranks' names
RIGHT = 0.3
AXIS = 0.5  # below the rows, for the time axis


def draw_timeline(
    timeline: Timeline,
    *,
    theme: Theme = "light",
    title: str | None = None,
    numbers: Numbers = "auto",
    microbatch_offset: int | None = None,
    highlight: Highlight | Iterable[Sequence[Any]] | None = None,
    axes: Axes | None = None,
    width: float | None = None,
    costs: Costs | None = None,
    memory: bool = False,
) -> Figure:
    """Draw every op of `timeline` as a cell: a row a rank, time (in its unit) to the right.

    An overlapped FB is an F cell and a B cell in one border, which share its width as F : B of
    `costs` (1 : 2 by default). Cells carry micro-batch numbers where they fit ("auto"), always
    ("all") or never ("none"); in direction d they are moved by d * `microbatch_offset`, by default
    by the number of micro-batches a direction. Cells too narrow to be seen (under 1.2 points) are
    joined by kind, and then FB has a colour of its own. `highlight` outlines ops and draws arrows;
    `memory` adds what each rank holds beneath. `width` is in inches. On given `axes` there is no
    title, legend or memory, and the axes' figure is returned.

    Raises `InputError` for an unknown theme or choice of numbers, for costs that do not fit the
    schedule, and for a highlight of an op that is not there.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> timeline = simulate(build("dualpipe", ranks=8, microbatches=20), Costs(FB=3))
    >>> axes = draw_timeline(timeline).axes[0]
    >>> [text.get_text() for text in axes.texts[:8]], len(axes.texts)
    (['0', '1', '2', '3', '4', '5', '6', '10'], 364)
    """
    drawing = Drawing(timeline, palette(theme), numbers, microbatch_offset, highlight, costs)
    if axes is not None:
        drawing.on(axes, timeline.makespan)
        name_times(axes, timeline.makespan, drawing.palette, timeline.unit)
        return figure_of(axes)
    return _whole_figure(drawing, title, width or WIDTH, memory)


@dataclass
class Drawing:
    """A timeline with all that is asked of its picture."""

    timeline: Timeline
    palette: Palette
    numbers: Numbers = "auto"
    microbatch_offset: int | None = None
    highlight: Highlight | Iterable[Sequence[Any]] | None = None
    costs: Costs | None = None

    def __post_init__(self) -> None:
        if self.numbers not in get_args(Numbers):
            raise InputError(
                "numbers are auto, all or none", f"numbers = {self.numbers!r}", "numbers = 'auto'"
            )

    @cached_property
    def cells(self) -> list[Cell]:
        return cells(self.timeline, self.costs)

    @property
    def offset(self) -> int:
        if self.microbatch_offset is not None:
            return self.microbatch_offset
        return self.timeline.schedule.microbatches_per_direction

    @cached_property
    def labels(self) -> list[str]:
        homes = self.timeline.schedule.placement.homes
        return [
            str(cell.microbatch + homes[cell.rank][cell.slot][0] * self.offset)
            for cell in self.cells
        ]

    @property
    def slots(self) -> int:
        return self.timeline.schedule.placement.slots

    def scale(self, inches: tuple[float, float], span: Number) -> Scale:
        return scale_of(inches, self.cells, span, self.timeline.schedule.ranks)

    def number_size(self, scale: Scale) -> float:
        if self.numbers == "none" or (scale.dense and self.numbers == "auto"):
            return 0.0
        size = number_size(self.cells, self.labels, scale)
        return max(size, SMALLEST_NUMBER) if self.numbers == "all" else size

    def on(self, axes: Axes, span: Number) -> Scale:
        """Paint on axes that show the time from 0 to `span`; return the scale."""
        timeline, ranks = self.timeline, self.timeline.schedule.ranks
        scale = self.scale(size_in_inches(axes), span)
        axes.set(xlim=(0, float(span) or 1.0), ylim=(ranks, 0))
        paint_idle(axes, ranks, timeline.makespan, self.palette)
        if scale.dense:
            paint_stretches(axes, self.cells, self.palette, scale)
        else:
            paint_cells(axes, self.cells, self.palette, scale, self.slots)
        size = self.number_size(scale)
        if size:
            self._paint_fitting_numbers(axes, size, scale)
        wanted = as_highlight(self.highlight, timeline.schedule)
        paint_highlight(axes, timeline, wanted, self.palette)
        name_ranks(axes, ranks, self.palette)
        axes.set_xticks([])
        drop_frame(axes)
        return scale

    def _paint_fitting_numbers(self, axes: Axes, size: float, scale: Scale) -> None:
        """Leave out the few numbers that are wider than their cells, unless all are asked for."""
        fitting = [
            (cell, label)
            for cell, label in zip(self.cells, self.labels, strict=True)
            if self.numbers == "all" or float(cell.width) * scale.time >= 0.62 * size * len(label)
        ]
        kept, labels = [cell for cell, _ in fitting], [label for _, label in fitting]
        paint_numbers(axes, kept, labels, size, self.palette, self.slots)


def row_height(ranks: int) -> float:
    """Inches a rank: enough for numbers up to 16 ranks, then as many rows as fit a page."""
    return 0.3 if ranks <= 16 else max(0.075, 4.8 / ranks)


def legend_items(drawing: Drawing, scale: Scale) -> list[Entry]:
    """What a picture at this scale needs explained."""
    numbered = bool(drawing.number_size(scale))
    schedule = drawing.timeline.schedule
    return entries(schedule, dense=scale.dense, numbered=numbered, offset=drawing.offset)


def _whole_figure(drawing: Drawing, title: str | None, width: float, memory: bool) -> Figure:
    timeline, colours = drawing.timeline, drawing.palette
    ranks = timeline.schedule.ranks
    inner = (width - LEFT - (MEMORY_RIGHT if memory else RIGHT), row_height(ranks) * ranks)
    items = legend_items(drawing, drawing.scale(inner, timeline.makespan))
    lines = lines_of(items, width - LEFT)
    top = 0.38 if title else 0.08
    panel = top + inner[1] + AXIS
    legend = panel + (memory_height(ranks) + 0.3 if memory else 0.0)
    figure = new_figure(width, legend + ROW * len(lines) + 0.08)
    axes = add_axes(figure, LEFT, top, *inner)
    scale = drawing.on(axes, timeline.makespan)
    name_times(axes, timeline.makespan, colours, timeline.unit)
    if memory:
        below = add_axes(figure, LEFT, panel + 0.15, inner[0], memory_height(ranks))
        paint_memory(below, timeline, colours)
    if title:
        put_title(figure, title, colours, LEFT)
    put_legend(
        figure, lines, colours, (LEFT, legend, width - LEFT), slots=drawing.slots, dense=scale.dense
    )
    return figure
