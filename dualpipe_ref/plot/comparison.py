"""Several timelines above each other on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dualpipe_ref.plot.axis import name_times
from dualpipe_ref.plot.figure import (
    Figure,
    add_axes,
    new_figure,
    put_text,
    put_title,
    text_width,
)
from dualpipe_ref.plot.legend import ROW, Entry, lines_of, put_legend
from dualpipe_ref.plot.palette import LABELS, Theme, palette
from dualpipe_ref.plot.timeline import (
    AXIS,
    LEFT,
    WIDTH,
    Drawing,
    Numbers,
    legend_items,
    row_height,
)
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import Costs, Number
from dualpipe_ref.simulate.timeline import Timeline

BESIDE = 0.12  # inches on both sides of the results at the right
HEAD = 0.34  # inches above each timeline for its name


def draw_comparison(
    timelines: Sequence[Timeline],
    *,
    theme: Theme = "light",
    labels: Sequence[str] | None = None,
    numbers: Numbers = "auto",
    costs: Costs | None = None,
    width: float | None = None,
) -> Figure:
    """Draw timelines one above the other; all start at 0 and share one scale.

    At the right stand each one's makespan and idle share: the part of all ranks' time from 0 to
    its own makespan in which they compute nothing. `labels` name the timelines, by default by
    kind, P and m. `numbers` and `costs` are those of `draw_timeline`. Raises `InputError` for
    no timelines, for times in different units, and for too few or too many labels.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> runs = [simulate(build(kind, 4, 8), Costs(FB=3)) for kind in ("1f1b", "dualpipe")]
    >>> [text.get_text() for text in draw_comparison(runs).texts][-2:]
    ['makespan 26', 'idle 7.7 %']
    """
    names = _checked_names(timelines, labels)
    colours = palette(theme)
    width = width or WIDTH
    longest = max(timeline.makespan for timeline in timelines)
    drawings = [Drawing(timeline, colours, numbers, costs=costs) for timeline in timelines]
    heights = [row_height(t.schedule.ranks) * t.schedule.ranks for t in timelines]
    results = 2 * BESIDE + max(1.15 * text_width(_makespan(timeline)) for timeline in timelines)
    inner = width - LEFT - results
    lines = lines_of(_all_items(drawings, heights, inner, longest), width - LEFT)
    body = sum(heights) + HEAD * len(heights) + AXIS
    figure = new_figure(width, body + ROW * len(lines) + 0.08)
    top = 0.0
    for drawing, name, height in zip(drawings, names, heights, strict=True):
        put_title(figure, name, colours, LEFT, top + 0.12)
        axes = add_axes(figure, LEFT, top + HEAD, inner, height)
        scale = drawing.on(axes, longest)
        _put_results(figure, drawing, width - results + BESIDE, top + HEAD + height / 2)
        top += HEAD + height
    name_times(axes, longest, colours, timelines[0].unit)
    slots = max(drawing.slots for drawing in drawings)
    put_legend(figure, lines, colours, (LEFT, body, width - LEFT), slots=slots, dense=scale.dense)
    return figure


def idle_share(timeline: Timeline) -> float:
    """Idle time of all ranks over their whole time, from 0 to 1.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> round(idle_share(simulate(build("1f1b", ranks=8, microbatches=20))), 4)
    0.2593
    """
    whole = float(timeline.makespan) * timeline.schedule.ranks
    return float(sum(timeline.idle)) / whole if whole else 0.0


def _checked_names(timelines: Sequence[Timeline], labels: Sequence[str] | None) -> list[str]:
    if not timelines:
        raise InputError("a comparison draws at least one timeline", "none", "one timeline")
    units = sorted({timeline.unit for timeline in timelines})
    if len(units) > 1:
        raise InputError("timelines are compared in one unit", f"units {units}", units[-1])
    if labels is None:
        return [_name(timeline) for timeline in timelines]
    if len(labels) != len(timelines):
        raise InputError(
            "a comparison has one label a timeline",
            f"{len(labels)} labels for {len(timelines)} timelines",
            f"{len(timelines)} labels",
        )
    return list(labels)


def _name(timeline: Timeline) -> str:
    schedule = timeline.schedule
    return f"{schedule.kind}, P = {schedule.ranks}, m = {schedule.microbatches}"


def _all_items(
    drawings: Sequence[Drawing], heights: Sequence[float], inner: float, longest: Number
) -> list[Entry]:
    """Every legend item that one of the timelines needs, once."""
    items: dict[str, Entry] = {}
    for drawing, height in zip(drawings, heights, strict=True):
        for item in legend_items(drawing, drawing.scale((inner, height), longest)):
            items.setdefault(item.words, replace(item, range=""))
    order = {words: place for place, words in enumerate((*LABELS.values(), "idle"))}
    return sorted(items.values(), key=lambda item: order.get(item.words, len(order)))


def _makespan(timeline: Timeline) -> str:
    return f"makespan {float(timeline.makespan):.6g}"


def _put_results(figure: Figure, drawing: Drawing, left: float, middle: float) -> None:
    timeline, colours = drawing.timeline, drawing.palette
    share = f"idle {100 * idle_share(timeline):.1f} %"
    put_text(
        figure,
        left,
        middle - 0.02,
        _makespan(timeline),
        colours.ink,
        va="bottom",
        fontweight="bold",
    )
    put_text(figure, left, middle + 0.02, share, colours.ink, va="top")
