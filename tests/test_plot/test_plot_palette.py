"""Colours stay apart for every reader, and colour is never alone."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest

from dualpipe_ref.plot.palette import (
    BARS,
    LABELS,
    Palette,
    Theme,
    contrast,
    mix,
    number_style,
    palette,
)
from dualpipe_ref.schedule import InputError, OpKind

KINDS = (OpKind.F, OpKind.B, OpKind.I, OpKind.W)
Vector = tuple[float, float, float]

# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; they act on linear RGB.
VISIONS: dict[str, tuple[Vector, Vector, Vector]] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = (  # sRGB primaries, D65
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)


def times(matrix: tuple[Vector, Vector, Vector], vector: Vector) -> Vector:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def linear(colour: str) -> Vector:
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return red, green, blue


def lab(colour: str, vision: str = "normal") -> Vector:
    seen = [min(1.0, max(0.0, value)) for value in times(VISIONS[vision], linear(colour))]
    white = times(TO_XYZ, (1, 1, 1))
    x, y, z = (
        a / b for a, b in zip(times(TO_XYZ, (seen[0], seen[1], seen[2])), white, strict=True)
    )
    fx, fy, fz = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z)
    )
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def distance(one: str, other: str, vision: str) -> float:
    pairs = zip(lab(one, vision), lab(other, vision), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs) ** 0.5)


def kinds_too_close(colours: Palette, vision: str, least: float) -> list[tuple[str, str]]:
    fills = [(kind, colours.fill(kind, slot)) for kind in KINDS for slot in (0, 1)]
    return [
        (one, other)
        for (kind, one), (other_kind, other) in combinations(fills, 2)
        if kind != other_kind and distance(one, other, vision) < least
    ]


def test_lab_of_known_colours() -> None:
    assert lab("#FFFFFF") == pytest.approx((100, 0, 0), abs=0.01)
    assert lab("#FF0000") == pytest.approx((53.24, 80.09, 67.20), abs=0.02)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(("theme", "least"), [("light", 14), ("dark", 14), ("print", 11)])
def test_kinds_stay_apart_for_every_vision(theme: Theme, least: float, vision: str) -> None:
    assert kinds_too_close(palette(theme), vision, least) == []


def test_the_check_catches_red_beside_green() -> None:
    """A classic mistake: told apart by normal eyes, not by deuteranopes."""
    tints = {
        **palette("light").tints,
        OpKind.F: ("#B08000", "#C08000"),
        OpKind.B: ("#A08A00", "#40A000"),
    }
    bad = Palette("light", "", "", "", "", "", "", tints)
    assert kinds_too_close(bad, "deuteranopia", 14)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_idle_and_joined_pairs_are_told_from_cells(theme: Theme, vision: str) -> None:
    colours = palette(theme)
    for kind in KINDS:
        assert distance(colours.fill(OpKind.FB), colours.fill(kind, 0), vision) >= 14
        for slot in (0, 1):
            assert distance(colours.idle, colours.fill(kind, slot), vision) >= 10


@pytest.mark.parametrize("theme", get_args(Theme))
def test_slots_differ_in_tint_and_in_number_style(theme: Theme) -> None:
    for kind in KINDS:
        first, last = (palette(theme).fill(kind, slot) for slot in (0, 1))
        assert distance(first, last, "normal") >= 5
    assert number_style(0) != number_style(1)


@pytest.mark.parametrize("theme", get_args(Theme))
def test_numbers_and_words_are_readable(theme: Theme) -> None:
    colours = palette(theme)
    for kind in KINDS:
        for slot in range(4):
            fill = colours.fill(kind, slot, 4)
            assert contrast(colours.ink_on(fill), fill) >= 4.5
    assert contrast(colours.ink, colours.paper) >= 7
    assert contrast(colours.muted, colours.paper) >= 4.5


def test_print_is_grey() -> None:
    colours = palette("print")
    fills = [fill for pair in colours.tints.values() for fill in pair]
    for colour in (*fills, colours.ink, colours.muted, colours.idle, colours.highlight):
        assert colour[1:3] == colour[3:5] == colour[5:7]


def test_every_kind_is_told_without_colour() -> None:
    assert len({BARS[kind] for kind in KINDS}) == len(KINDS)
    assert set(LABELS) == set(OpKind)
    both = BARS[OpKind.I].top | BARS[OpKind.W].top, BARS[OpKind.I].bottom | BARS[OpKind.W].bottom
    assert both == BARS[OpKind.B]


def test_slots_between_lie_between() -> None:
    colours = palette("light")
    assert colours.fill(OpKind.W, 1, 3) == mix(*colours.tints[OpKind.W], 0.5)
    assert colours.fill(OpKind.W, 0, 1) == colours.tints[OpKind.W][0]


def test_unknown_theme() -> None:
    with pytest.raises(InputError, match="nearest legal: theme = 'light'"):
        palette("sepia")  # type: ignore[arg-type]
