"""The picture of link use: how many messages cross RDMA and NVLink in each tick of a run."""

from __future__ import annotations

from collections.abc import Mapping

from dualpipe_ref.comm.protocol.packets import NVLINK, RDMA, Traffic
from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    Figure,
    add_axes,
    new_figure,
    put_text,
    put_title,
)
from dualpipe_ref.plot.packets_data import use_over_time
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError

WIDTH, LEFT, RIGHT = 8.0, 0.95, 0.15  # inches
TITLE, ROW, BETWEEN, FOOT = 0.34, 0.72, 0.2, 0.52  # heights in inches


def draw_packets(ways: Mapping[str, Traffic], *, theme: Theme = "light") -> Figure:
    """Messages in each tick over both links, for each way by its name, on one scale of ticks. Raises `InputError` for none.

    >>> from dualpipe_ref.plot.packets_view import case_of, run_case
    >>> figure = draw_packets(run_case(case_of({"tokens": 1})).traffic)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['RDMA', 'NVLink', 'RDMA', 'NVLink']
    """
    if not ways:
        raise InputError("a picture of link use has at least one run", "none", "one run")
    colours = palette(theme)
    each = TITLE + 2 * ROW + BETWEEN + FOOT
    figure = new_figure(WIDTH, len(ways) * each)
    ticks = max(found.ticks for found in ways.values())
    for number, (name, found) in enumerate(ways.items()):
        top = number * each
        put_title(figure, name, colours, LEFT, top + 0.08)
        use = use_over_time(found, 1 + max(one.source for one in found.packets))
        for row, link in enumerate((RDMA, NVLINK)):
            axes = add_axes(
                figure,
                LEFT,
                top + TITLE + row * (ROW + BETWEEN),
                WIDTH - LEFT - RIGHT,
                ROW,
            )
            counts = [sum(column) for column in zip(*use[link], strict=True)]
            colour = colours.highlight if link == RDMA else colours.ink
            axes.bar(range(len(counts)), counts, width=0.8, color=colour)
            axes.set_yticks([0, max(1, *counts)])
            axes.set_xlim(-0.5, ticks + 0.5)
            axes.set_xticks(range(0, ticks + 1, max(1, 10 * round(ticks / 100))))
            _name(axes, link, colours, is_last=row == 1)
    put_text(
        figure, 0.05, 0.12, "messages\nin a tick", colours.muted, fontsize=TEXT, linespacing=1.2
    )
    return figure


def _name(axes: Axes, link: str, colours: Palette, is_last: bool) -> None:
    axes.set_ylabel(link, color=colours.ink, fontsize=TEXT, fontfamily=FONT)
    axes.yaxis.set_label_coords(-0.055, 0.5)
    axes.tick_params(color=colours.muted, labelcolor=colours.ink, labelsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(colours.muted)
    if is_last:
        axes.set_xlabel("tick", color=colours.ink, fontsize=TEXT, fontfamily=FONT)
    else:
        axes.set_xticklabels([])
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontfamily(FONT)
