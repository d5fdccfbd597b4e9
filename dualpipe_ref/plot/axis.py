"""The ranks' names at the left and the time beneath."""

from __future__ import annotations

from dualpipe_ref.plot.figure import (
    FONT,
    POINTS,
    TEXT,
    Axes,
    MaxNLocator,
    size_in_inches,
    text_width,
)
from dualpipe_ref.plot.palette import Palette
from dualpipe_ref.simulate.costs import Number

TICKS = 12  # at most, on the time axis
APART = 0.12  # inches, at least, between the labels of two ticks


def name_ranks(axes: Axes, ranks: int, palette: Palette) -> None:
    """Name each row, or every second, fourth, ... row where they are too low for their names."""
    row = size_in_inches(axes)[1] * POINTS / ranks
    step = 1
    while step * row < TEXT:
        step *= 2
    named = range(0, ranks, step)
    axes.set_yticks([rank + 0.5 for rank in named], [f"rank {rank}" for rank in named])
    axes.tick_params(axis="y", length=0, pad=4, labelcolor=palette.ink, labelsize=TEXT)
    _set_fonts(axes)


def name_times(axes: Axes, end: Number, palette: Palette, unit: str) -> None:
    """Ticks at round times and at `end`, which is the number that the reader looks for."""
    ticks = _ticks(float(end), float(axes.get_xlim()[1]), size_in_inches(axes)[0])
    axes.set_xticks(ticks, [f"{tick:.6g}" for tick in ticks])
    axes.tick_params(
        axis="x", length=3, color=palette.muted, labelcolor=palette.ink, labelsize=TEXT
    )
    label = f"time ({unit})" if unit else "time"
    axes.set_xlabel(label, color=palette.muted, fontsize=TEXT, fontfamily=FONT, labelpad=1)
    _set_fonts(axes)


def _ticks(end: float, span: float, inches: float) -> list[float]:
    """Round times whose labels have room on an axis this wide, and `end`."""
    room = text_width(f"{end:.6g}") + APART
    most = max(1, min(TICKS, int(inches / room) - 1))
    round_times = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(0, span)
    near = room * span / inches
    kept = [float(time) for time in round_times if 0 <= time <= span and abs(time - end) >= near]
    return sorted([*kept, end])


def drop_frame(axes: Axes) -> None:
    """No lines round the axes: the rows themselves are the frame."""
    for spine in axes.spines.values():
        spine.set_visible(False)


def _set_fonts(axes: Axes) -> None:
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontfamily(FONT)
