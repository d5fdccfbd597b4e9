"""Colours, and what carries the same facts without colour. Standard library only.

The kinds follow the published figures: forward orange, backward green, its two halves a light
green (I) and a blue (W). Every kind is also told by bars across the cell: I has one at its top,
W one at its bottom, B = I + W has both and F has none. Slots differ in tint and in the style of
their numbers. Tests check the colours, as three kinds of colour blindness see them, and the bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind

Theme = Literal["light", "dark", "print"]

LABELS: dict[OpKind, str] = {
    OpKind.F: "forward",
    OpKind.B: "backward",
    OpKind.I: "backward for input",
    OpKind.W: "backward for weights",
    OpKind.FB: "forward and backward, overlapped",
}


class Bars(NamedTuple):
    """Which edges of a cell carry a bar."""

    top: bool
    bottom: bool


BARS: dict[OpKind, Bars] = {
    OpKind.F: Bars(top=False, bottom=False),
    OpKind.I: Bars(top=True, bottom=False),
    OpKind.W: Bars(top=False, bottom=True),
    OpKind.B: Bars(top=True, bottom=True),
}


class NumberStyle(NamedTuple):
    """How micro-batch numbers of a slot are set: matplotlib's font weight and style."""

    weight: str
    style: str


def number_style(slot: int) -> NumberStyle:
    """Even slots bold and upright, odd slots regular and italic.

    >>> number_style(1)
    NumberStyle(weight='normal', style='italic')
    """
    return NumberStyle("normal", "italic") if slot % 2 else NumberStyle("bold", "normal")


@dataclass(frozen=True)
class Palette:
    """The colours of one theme, as "#RRGGBB".

    `tints[kind]` are the first and the last slot's fill; `paper` is the page that the theme is made
    for (pictures themselves have no background).

    >>> palette("light").fill(OpKind.F, slot=0)
    '#EC9435'
    >>> palette("print").fill(OpKind.I, slot=1, slots=3)
    '#C2C2C2'
    """

    name: Theme
    ink: str
    muted: str
    paper: str
    idle: str
    border: str
    highlight: str
    tints: dict[OpKind, tuple[str, str]]

    def fill(self, kind: OpKind, slot: int = 0, slots: int = 2) -> str:
        """Fill of a cell; slots between the first and the last get tints in between."""
        first, last = self.tints[kind]
        return mix(first, last, slot / (slots - 1)) if slots > 1 else first

    def ink_on(self, fill: str) -> str:
        """The colour, dark or white, that reads better on `fill`.

        >>> palette("light").ink_on("#1B6847")
        '#FFFFFF'
        """
        return max(_ON_LIGHT, _ON_DARK, key=lambda ink: contrast(ink, fill))


_ON_LIGHT = "#111111"
_ON_DARK = "#FFFFFF"

_PALETTES = {
    "light": Palette(
        name="light",
        ink="#1A1A1A",
        muted="#5A5F66",
        paper="#FFFFFF",
        idle="#F5F6F7",
        border="#101010",
        highlight="#C2185B",
        tints={
            OpKind.F: ("#EC9435", "#F6C488"),
            OpKind.B: ("#1B6847", "#659A7E"),
            OpKind.I: ("#98D6B8", "#BFE7D2"),
            OpKind.W: ("#5585DE", "#A2B2F2"),
            OpKind.FB: ("#7A6E36", "#7A6E36"),
        },
    ),
    "dark": Palette(
        name="dark",
        ink="#E8E8E8",
        muted="#A6ABB3",
        paper="#14181E",
        idle="#2A2F36",
        border="#FFFFFF",
        highlight="#FF5CA8",
        tints={
            OpKind.F: ("#D9822B", "#EBB276"),
            OpKind.B: ("#2F6B4F", "#6E9A84"),
            OpKind.I: ("#86D3AE", "#C2EBD6"),
            OpKind.W: ("#5B87DF", "#9BADEE"),
            OpKind.FB: ("#9A8B46", "#9A8B46"),
        },
    ),
    "print": Palette(
        name="print",
        ink="#000000",
        muted="#3C3C3C",
        paper="#FFFFFF",
        idle="#FFFFFF",
        border="#000000",
        highlight="#000000",
        tints={
            OpKind.F: ("#FFFFFF", "#EEEEEE"),
            OpKind.B: ("#4E4E4E", "#5E5E5E"),
            OpKind.I: ("#CBCBCB", "#BABABA"),
            OpKind.W: ("#959595", "#868686"),
            OpKind.FB: ("#727272", "#727272"),
        },
    ),
}


# Curves differ by colour and, for those who see none, by their line.
CURVE_COLOURS = {
    "light": ("#1B6847", "#B4590A", "#2F5FC4", "#8A2A72", "#5A5F66"),
    "dark": ("#86D3AE", "#F0A35E", "#8FB0F5", "#E79BD0", "#A6ABB3"),
    "print": ("#000000", "#000000", "#000000", "#000000", "#000000"),
}


def palette(theme: Theme) -> Palette:
    """The palette of a theme: "light", "dark", or "print" (greys only).

    >>> palette("sepia")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a theme is light, dark or print; got theme = 'sepia'; nearest legal: theme = 'light'
    """
    if theme not in get_args(Theme):
        raise InputError("a theme is light, dark or print", f"theme = {theme!r}", "theme = 'light'")
    return _PALETTES[theme]


def mix(first: str, last: str, share: float) -> str:
    """The colour that lies `share` (0 to 1) of the way from `first` to `last`.

    >>> mix("#000000", "#FFFFFF", 0.5)
    '#808080'
    """
    pairs = zip(_channels(first), _channels(last), strict=True)
    return "#" + "".join(f"{round(255 * (a + (b - a) * share)):02X}" for a, b in pairs)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, from 1 (equal) to 21, as the WCAG defines it.

    >>> round(contrast("#000000", "#FFFFFF"), 6)
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _channels(colour: str) -> list[float]:
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
