"""The picture of overlapped pairs: for each a lane of computation and one of communication, time to the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dualpipe_ref.plot.axis import drop_frame, name_times
from dualpipe_ref.plot.cells import Cell
from dualpipe_ref.plot.exact import time_text
from dualpipe_ref.plot.figure import (
    FONT,
    POINTS,
    TEXT,
    Axes,
    Figure,
    add_axes,
    new_figure,
    put_text,
    put_title,
    size_in_inches,
    text_width,
)
from dualpipe_ref.plot.lanes_data import KINDS, SHORT
from dualpipe_ref.plot.legend import ROW, Entry, lines_of, put_legend
from dualpipe_ref.plot.paint import paint_cells, paint_idle, scale_of
from dualpipe_ref.plot.palette import LABELS, Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lanes import Lane, PairRun, Piece

WIDTH = 9.0  # inches
LEFT = 1.06  # for the lanes' names
RIGHT = 0.16
HEAD = 0.36  # above each pair, for its name and its length
LANE = 0.5  # inches, of one lane
AXIS = 0.5
BOUND_ROOM = 0.2  # below the axis' name, for what the dashed line is
SMALLEST = 6.5  # points, of what is written in a cell


class Label(NamedTuple):
    """What a cell says, in two lines at most."""

    text: str
    size: float


def draw_lanes(
    runs: Mapping[str, PairRun],
    *,
    theme: Theme = "light",
    bound: Number | None = None,
    width: float | None = None,
) -> Figure:
    """Draw runs of pairs, named by their keys, one above the other on one scale.

    Each cell is a piece: its colour and bars say whether it is of the forward (F), of the backward for the
    input (I) or for the weights (W), its words which part of which layer. `bound` is a length that no order
    goes below, drawn as a dashed line. `width` is in inches. Raises `InputError` for no runs.

    >>> from dualpipe_ref.simulate.lanes import LaneCosts, published_order, run_pair
    >>> axes = draw_lanes({"published": run_pair(published_order(1), LaneCosts())}, bound=6).axes[0]
    >>> [text.get_text() for text in axes.texts][:3]
    ['attention\\n0', 'combine\\n0', 'MLP\\n0']
    """
    if not runs:
        raise InputError("a picture of lanes has at least one run", "none", "one run")
    colours = palette(theme)
    width = width or WIDTH
    inner = width - LEFT - RIGHT
    longest = max([*(run.length for run in runs.values()), bound or 0])
    lines = lines_of([*(Entry(LABELS[kind], kind) for kind in KINDS), Entry("idle")], width - LEFT)
    body = (HEAD + 2 * LANE) * len(runs) + AXIS + (BOUND_ROOM if bound is not None else 0.0)
    figure = new_figure(width, body + ROW * len(lines) + 0.08)
    top = 0.0
    for name, run in runs.items():
        put_title(figure, name, colours, LEFT, top + 0.12)
        _put_length(figure, run, colours, width - RIGHT, top + 0.15)
        axes = add_axes(figure, LEFT, top + HEAD, inner, 2 * LANE)
        _paint(axes, run, longest, colours)
        if bound is not None:
            _mark_bound(axes, bound, colours)
        top += HEAD + 2 * LANE
    name_times(axes, longest, colours, "")
    if bound is not None:
        _name_bound(figure, bound, colours, top + AXIS)
    put_legend(figure, lines, colours, (LEFT, body, width - LEFT), slots=1, dense=False)
    return figure


def _put_length(figure: Figure, run: PairRun, colours: Palette, right: float, top: float) -> None:
    words = f"takes {time_text(run.length)}, {100 * float(run.exposed):.3g} % of the communication exposed"
    put_text(figure, right, top, words, colours.ink, ha="right")


def _paint(axes: Axes, run: PairRun, longest: Number, colours: Palette) -> None:
    lanes = list(Lane)
    pieces = list(run.spans)
    cells = [
        Cell(lanes.index(piece.lane), start, end - start, piece.kind, 0, piece.layer)
        for piece, (start, end) in run.spans.items()
    ]
    axes.set(xlim=(0, float(longest)), ylim=(2, 0))
    scale = scale_of(size_in_inches(axes), cells, longest, 2)
    paint_idle(axes, 2, run.length, colours)
    paint_cells(axes, cells, colours, scale, 1)
    for cell, label in zip(cells, _labels(pieces, cells, scale.time), strict=True):
        axes.text(
            float(cell.start + cell.width / 2),
            cell.rank + 0.5,
            label.text,
            ha="center",
            va="center",
            fontsize=label.size,
            fontfamily=FONT,
            linespacing=1.05,
            color=colours.ink_on(colours.fill(cell.kind)),
            zorder=4,
            clip_on=True,
        )
    axes.set_yticks([0.5, 1.5], [str(lane) for lane in lanes])
    axes.tick_params(axis="y", length=0, pad=4, labelcolor=colours.ink, labelsize=TEXT)
    for name in axes.get_yticklabels():
        name.set_fontfamily(FONT)
    axes.set_xticks([])
    drop_frame(axes)


def _labels(pieces: Sequence[Piece], cells: Sequence[Cell], points: float) -> list[Label]:
    """The longest names for which all cells have room, at one size where that can be read."""
    for form in range(3):
        names = [SHORT[piece.part][form] for piece in pieces]
        size = min(
            (float(cell.width) * points - 3) / (text_width(name, 1) * POINTS)
            for cell, name in zip(cells, names, strict=True)
        )
        if size >= SMALLEST or form == 2:
            size = max(0.75 * SMALLEST, min(size, TEXT))
            break
    return [
        Label(f"{name}\n{piece.layer}", size) for name, piece in zip(names, pieces, strict=True)
    ]


def _mark_bound(axes: Axes, bound: Number, colours: Palette) -> None:
    axes.axvline(
        float(bound),
        color=colours.highlight,
        linestyle=(0, (4, 2)),
        linewidth=1.8,
        zorder=3.5,
        gid="bound",
        clip_on=False,
    )


def _name_bound(figure: Figure, bound: Number, colours: Palette, top: float) -> None:
    words = (
        f"dashed line: no order is shorter than {time_text(bound)}; the number in a cell: its layer"
    )
    put_text(figure, LEFT, top, words, colours.muted)
