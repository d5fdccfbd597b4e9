"""The SMs of a GPU as squares: which ran communication, which computation, which both."""

from __future__ import annotations

from collections.abc import Sequence

from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    Figure,
    add_axes,
    new_figure,
    put_title,
    text_width,
)
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind

LEFT, SIDE, GAP = 0.1, 0.32, 0.05  # inches, of a square and between two
TITLE, KEY = 0.36, 0.34
PER_ROW = 22  # an H100's 132 in six rows
WORDS = ("communication", "computation", "both", "neither")


def draw_sm_map(
    roles: Sequence[str],
    *,
    title: str = "",
    groups: Sequence[Sequence[int]] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Draw a square with its number for each SM, coloured by its role: one of `WORDS`.

    Without colour they differ too: communication has a thick edge, both a cross, neither no fill. `groups` are the SMs of
    each graphics processing cluster where that is known, one a row; else SMs come in order. Raises `InputError` for
    other roles and for groups that are not all SMs.

    >>> figure = draw_sm_map(["communication", "computation", "computation", "neither"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '1', '2', '3']
    >>> [text.get_text() for text in figure.axes[1].texts]
    ['communication: 1', 'computation: 2', 'both: 0', 'neither: 1']
    """
    rows = _rows(roles, groups)
    colours = palette(theme)
    widest = max(len(row) for row in rows) * (SIDE + GAP)
    wide = max(widest, _key_width(roles), 1.2 * text_width(title)) + 2 * LEFT
    top = TITLE if title else 0.1
    high = len(rows) * (SIDE + GAP)
    figure = new_figure(wide, top + high + KEY)
    if title:
        put_title(figure, title, colours, LEFT)
    axes = _axes(figure, top, wide - 2 * LEFT, high)
    for number, row in enumerate(rows):
        low = high - (number + 1) * (SIDE + GAP) + GAP / 2
        for place, sm in enumerate(row):
            _square(axes, place * (SIDE + GAP), low, SIDE, roles[sm], colours)
            ink = colours.ink_on(_fill(roles[sm], colours) or colours.paper)
            axes.text(
                place * (SIDE + GAP) + SIDE / 2,
                low + SIDE / 2,
                str(sm),
                color=ink,
                ha="center",
                va="center",
                fontsize=TEXT - 1,
                fontfamily=FONT,
                fontweight="bold" if roles[sm] == WORDS[0] else "normal",
            )
    _key(_axes(figure, top + high, wide - 2 * LEFT, KEY), roles, colours)
    return figure


def _rows(roles: Sequence[str], groups: Sequence[Sequence[int]] | None) -> list[Sequence[int]]:
    wrong = sorted(set(roles) - set(WORDS))
    if wrong or not roles:
        raise InputError("each SM has a role", wrong[0] if wrong else "no SM", " or ".join(WORDS))
    everything = range(len(roles))
    if groups is None:
        return [everything[at : at + PER_ROW] for at in range(0, len(roles), PER_ROW)]
    rows = [row for row in groups if row]
    if sorted(sm for row in rows for sm in row) != list(everything):
        raise InputError(
            "each SM stands in one group",
            f"{sum(map(len, rows))} in groups",
            f"{len(roles)} SMs, each once",
        )
    return rows


def _axes(figure: Figure, top: float, width: float, height: float) -> Axes:
    """Axes in inches, so that a square is a square."""
    axes = add_axes(figure, LEFT, top, width, height)
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _fill(role: str, colours: Palette) -> str | None:
    return {
        "communication": colours.fill(OpKind.W),
        "computation": colours.fill(OpKind.F, 1),
        "both": colours.highlight,
    }.get(role)


def _square(axes: Axes, left: float, low: float, side: float, role: str, colours: Palette) -> None:
    right, high = left + side, low + side
    inset = 0.02
    axes.fill(
        (left + inset, right - inset, right - inset, left + inset),
        (low + inset, low + inset, high - inset, high - inset),
        facecolor=_fill(role, colours) or "none",
        edgecolor=colours.border if role != "neither" else colours.muted,
        linewidth=2.2 if role in ("communication", "both") else 0.6,
        linestyle=":" if role == "neither" else "-",
    )
    if role == "both":
        for corners in ((low, high), (high, low)):
            axes.plot((left, right), corners, color=colours.border, linewidth=0.8)


def _key_width(roles: Sequence[str]) -> float:
    return sum(SIDE + 0.4 + text_width(f"{word}: {roles.count(word)}") for word in WORDS)


def _key(axes: Axes, roles: Sequence[str], colours: Palette) -> None:
    left, side = 0.0, 0.2
    for word in WORDS:
        text = f"{word}: {roles.count(word)}"
        _square(axes, left, 0.06, side, word, colours)
        axes.text(
            left + side + 0.07,
            0.06 + side / 2,
            text,
            color=colours.ink,
            va="center",
            fontsize=TEXT,
            fontfamily=FONT,
        )
        left += SIDE + 0.3 + text_width(text)
