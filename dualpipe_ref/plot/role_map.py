"""Blocks of a kernel as rows of warps: each a square with the numbers of the tasks that it does."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

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
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind

LEFT, TOP, SIDE, GAP = 0.1, 0.08, 0.31, 0.05  # inches; of a square and between two
APART = 0.12  # between two roles
LINE, BETWEEN, KEY_LINE = 0.17, 0.16, 0.21  # of text, between two rows, of the key
WORDS = 92  # characters of a line of the key


class Group(NamedTuple):
    """Warps side by side in one role; `tasks` are places in the list of tasks."""

    role: str
    warps: int
    tasks: tuple[int, ...]


class Row(NamedTuple):
    """A block: what it is called, and its warps in order."""

    title: str
    groups: tuple[Group, ...]


def draw_role_map(rows: Sequence[Row], tasks: Sequence[str], *, theme: Theme = "light") -> Figure:
    """Draw a row of squares for each block, coloured and numbered by task; a key names the up to four `tasks`.

    A warp with two tasks is divided. Raises `InputError` for groups without a warp or with tasks that are not there.

    >>> figure = draw_role_map([Row("a block", (Group("sender", 2, (0,)), Group("adder", 1, (0, 1))))], ["to move", "to add"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '1', '2']
    """
    _check(rows, tasks)
    colours = palette(theme)
    lines = [wrap(f"{number}  {task}", WORDS) for number, task in enumerate(tasks, 1)]
    wide = max(map(_width, rows), default=0.0)
    wide = max(wide, *(SIDE + text_width(line) for some in lines for line in some)) + 2 * LEFT
    row_high = LINE + SIDE + 0.04 + LINE + BETWEEN
    key_high = KEY_LINE * sum(map(len, lines)) + 0.05
    figure = new_figure(wide, TOP + len(rows) * row_high + key_high)
    for number, row in enumerate(rows):
        _draw_row(figure, row, TOP + number * row_high, wide - 2 * LEFT, colours)
    _draw_key(figure, lines, TOP + len(rows) * row_high, colours)
    return figure


def _check(rows: Sequence[Row], tasks: Sequence[str]) -> None:
    if not 1 <= len(tasks) <= 4:
        raise InputError("a map of roles has 1 to 4 tasks", f"{len(tasks)}", "4")
    for row in rows:
        for group in row.groups:
            if group.warps < 1:
                raise InputError("a role has warps", f"{group.role}: {group.warps}", "1")
            if not 1 <= len(group.tasks) <= 2 or not set(group.tasks) <= set(range(len(tasks))):
                raise InputError(
                    f"a role has one or two of the tasks 0 to {len(tasks) - 1}",
                    f"{group.role}: {group.tasks}",
                    "(0,)",
                )


def _width(row: Row) -> float:
    warps = sum(group.warps for group in row.groups)
    squares = warps * (SIDE + GAP) + APART * (len(row.groups) - 1)
    return max(squares, text_width(_said(row)), 1.15 * text_width(row.title))


def _said(row: Row) -> str:
    return ",  ".join(_counted(group) for group in row.groups)


def _counted(group: Group) -> str:
    """ "5 senders of combine"."""
    head, of, rest = group.role.partition(" of ")
    return f"{group.warps} {head}{'s' if group.warps > 1 else ''}{of}{rest}"


def _draw_row(figure: Figure, row: Row, top: float, wide: float, colours: Palette) -> None:
    put_text(figure, LEFT, top, row.title, colours.ink, fontweight="bold")
    axes = add_axes(figure, LEFT, top + LINE, wide, SIDE + 0.04)
    axes.set(xlim=(0, wide), ylim=(0, SIDE + 0.04))
    axes.set_axis_off()
    left = 0.0
    for group in row.groups:
        for _ in range(group.warps):
            _square(axes, left, 0.02, SIDE, group.tasks, colours)
            left += SIDE + GAP
        left += APART
    put_text(figure, LEFT, top + LINE + SIDE + 0.05, _said(row), colours.muted)


def _fill(task: int, colours: Palette) -> str:
    return colours.fill((OpKind.F, OpKind.W, OpKind.I, OpKind.B)[task])


def _square(
    axes: Axes, left: float, low: float, side: float, tasks: tuple[int, ...], colours: Palette
) -> None:
    right, high = left + side, low + side
    halves: list[tuple[tuple[float, ...], tuple[float, ...]]]
    halves = [((left, right, right, left), (low, low, high, high))]
    if len(tasks) == 2:
        halves = [
            ((left, right, left), (low, high, high)),
            ((left, right, right), (low, low, high)),
        ]
    for task, (across, up) in zip(tasks, halves, strict=True):
        axes.fill(across, up, facecolor=_fill(task, colours), edgecolor="none")
    for across, up in halves:
        axes.fill(across, up, facecolor="none", edgecolor=colours.border, linewidth=0.8)
    places = [(0.5, 0.5)] if len(tasks) == 1 else [(0.27, 0.7), (0.73, 0.3)]
    for task, place in zip(tasks, places, strict=True):
        axes.text(
            left + place[0] * side,
            low + place[1] * side,
            str(task + 1),
            color=colours.ink_on(_fill(task, colours)),
            ha="center",
            va="center",
            fontsize=TEXT if len(tasks) == 1 else TEXT - 1,
            fontfamily=FONT,
            fontweight="bold",
        )


def _draw_key(figure: Figure, lines: Sequence[Sequence[str]], top: float, colours: Palette) -> None:
    at, side = top, 0.15
    for task, some in enumerate(lines):
        axes = add_axes(figure, LEFT, at + 0.005, side, side)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_axis_off()
        axes.fill(
            (0, 1, 1, 0), (0, 0, 1, 1), facecolor=_fill(task, colours), edgecolor=colours.border
        )
        for line in some:
            put_text(figure, LEFT + side + 0.1, at, line, colours.ink)
            at += KEY_LINE
