"""Two pictures of a ring: who owns which word, and who tells whom what, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dualpipe_ref.plot.figure import FONT, TEXT, Axes, FancyArrowPatch, Figure, add_axes, new_figure
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind

WIDTH, LEFT = 8.6, 0.08  # inches
BOX, GAP = 3.7, 1.0  # a memory's width, and what lies between the two
SLOT, HEIGHT = 0.62, 0.42  # of a slot's box


def draw_ring(size: int, head: int, tail: int, *, theme: Theme = "light") -> Figure:
    """A ring of `size` slots in the receiver's memory with messages `head` to `tail` - 1 in it, and where its two words lie.

    Raises `InputError` where more is in it than there are slots.

    >>> figure = draw_ring(4, head=3, tail=6)
    >>> "5" in [text.get_text() for text in figure.axes[0].texts]
    True
    """
    if not 0 <= head <= tail <= head + size:
        raise InputError(
            "a ring holds 0 to `size` messages, from head to tail",
            f"size = {size}, head = {head}, tail = {tail}",
            f"tail = {min(max(head, tail), head + size)}",
        )
    colours = palette(theme)
    figure = new_figure(WIDTH, 3.0)
    axes = _axes(figure, 3.0)
    right = BOX + GAP
    for left, name in ((0.0, "memory of the sending GPU"), (right, "memory of the receiving GPU")):
        _box(axes, left, 0.1, BOX, 2.5, "none", colours.muted, 1.0)
        _words(axes, left + 0.1, 2.75, name, colours.muted, ha="left")
    first = right + (BOX - size * SLOT) / 2
    for slot in range(size):
        counter = next((one for one in range(head, tail) if one % size == slot), None)
        fill = colours.idle if counter is None else colours.fill(OpKind.F)
        _box(axes, first + slot * SLOT, 1.55, SLOT, HEIGHT, fill, colours.border, 1.0)
        ink = colours.ink if counter is None else colours.ink_on(fill)
        middle = first + (slot + 0.5) * SLOT
        _words(axes, middle, 1.76, "free" if counter is None else str(counter), ink)
        _words(axes, middle, 1.43, f"slot {slot}", colours.muted)
    for level, (name, counter) in enumerate((("head", head), ("tail", tail))):
        middle = first + (counter % size + 0.5) * SLOT
        is_above = head % size == tail % size and level == 1
        _words(axes, middle, 2.06, "▾", colours.ink)
        _words(axes, middle, 2.2 + 0.18 * is_above, f"{name} {counter}", colours.ink)
    _words(axes, right + BOX / 2, 1.2, f"slot = counter mod {size}", colours.muted)
    _word(axes, 0.35, f"head = {head}", "the receiver stores it\nthe sender polls it", colours)
    _word(
        axes, right + 0.35, f"tail = {tail}", "the sender stores it\nthe receiver polls it", colours
    )
    _arrow(axes, (0.95, 1.76), (first - 0.05, 1.76), colours.ink, "-")
    _words(axes, 0.35, 1.76, "sender", colours.ink, ha="left", weight="bold")
    _words(axes, BOX + GAP / 2, 1.88, "data", colours.ink)
    _arrow(axes, (0.95, 1.66), (right + 0.32, 0.62), colours.highlight, "-")
    _words(axes, BOX + GAP / 2 + 0.1, 1.2, "tail", colours.highlight)
    _arrow(axes, (right + 2.75, 0.24), (1.2, 0.44), colours.highlight, (0, (4, 2)))
    _words(axes, BOX + GAP / 2, 0.46, "head", colours.highlight)
    _words(axes, right + 2.82, 0.24, "receiver", colours.ink, ha="left", weight="bold")
    return figure


def _word(axes: Axes, left: float, words: str, notes: str, colours: Palette) -> None:
    _box(axes, left, 0.45, 1.0, 0.34, colours.idle, colours.border, 1.4)
    _words(axes, left + 0.5, 0.62, words, colours.ink, weight="bold")
    for line, note in enumerate(notes.splitlines()):
        _words(axes, left + 1.1, 0.71 - 0.18 * line, note, colours.muted, ha="left")


class Told(NamedTuple):
    """One line of a hand-over: who does what, and, for what is told to another, to whom. `is_order` is what orders."""

    who: int
    words: str
    to: int | None = None
    is_order: bool = False


def draw_handoff(
    lanes: Sequence[str],
    steps: Sequence[Told],
    *,
    scopes: Sequence[tuple[int, int, str]] = (),
    theme: Theme = "light",
) -> Figure:
    """Lanes side by side, steps from top to bottom, an arrow for what one tells another; `scopes` are brackets around lanes.

    >>> figure = draw_handoff(["one", "other"], [Told(0, "writes"), Told(0, "releases", to=1)])
    >>> len(figure.axes[0].patches)
    1
    """
    colours = palette(theme)
    top = 0.75 + 0.25 * bool(scopes)
    height = top + 0.36 * len(steps) + 0.1
    figure = new_figure(WIDTH, height)
    axes = _axes(figure, height)
    wide = (WIDTH - 2 * LEFT) / len(lanes)
    for lane, name in enumerate(lanes):
        middle = (lane + 0.5) * wide
        _words(axes, middle, height - top + 0.3, name, colours.ink, weight="bold")
        axes.plot([middle, middle], [0.05, height - top + 0.12], color=colours.muted, linewidth=0.8)
    for first, last, words in scopes:
        level = height - 0.16
        ends = (first * wide + 0.15, (last + 1) * wide - 0.15)
        axes.plot(
            [ends[0], ends[0], ends[1], ends[1]],
            [level - 0.1, level - 0.05, level - 0.05, level - 0.1],
            color=colours.muted,
            linewidth=1,
        )
        _words(axes, sum(ends) / 2, level + 0.06, words, colours.muted)
    for number, step in enumerate(steps):
        level = height - top - 0.36 * (number + 0.5)
        middle = (step.who + 0.5) * wide
        colour = colours.highlight if step.is_order else colours.ink
        if step.to is not None:
            _arrow(
                axes, (middle, level - 0.14), ((step.to + 0.5) * wide, level - 0.14), colour, "-"
            )
        _words(axes, middle, level, step.words, colour, paper=colours.paper)
    return figure


def _axes(figure: Figure, height: float) -> Axes:
    """Axes in inches."""
    axes = add_axes(figure, LEFT, 0, WIDTH - 2 * LEFT, height)
    axes.set(xlim=(0, WIDTH - 2 * LEFT), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _box(
    axes: Axes,
    left: float,
    low: float,
    width: float,
    height: float,
    fill: str,
    edge: str,
    line: float,
) -> None:
    axes.fill(
        (left, left + width, left + width, left),
        (low, low, low + height, low + height),
        facecolor=fill,
        edgecolor=edge,
        linewidth=line,
    )


def _words(
    axes: Axes,
    x: float,
    y: float,
    words: str,
    ink: str,
    ha: Any = "center",
    weight: str = "normal",
    paper: str | None = None,
) -> None:
    box = None if paper is None else {"facecolor": paper, "edgecolor": "none", "pad": 1.2}
    axes.text(
        x,
        y,
        words,
        ha=ha,
        va="center",
        color=ink,
        fontsize=TEXT,
        fontfamily=FONT,
        fontweight=weight,
        bbox=box,
    )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, line: Any
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=10,
            shrinkA=0,
            shrinkB=0,
            color=colour,
            linewidth=1.6,
            linestyle=line,
        )
    )
