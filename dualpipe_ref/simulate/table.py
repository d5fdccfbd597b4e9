"""Aligned text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Columns aligned to the right, two spaces apart.

    >>> print(table([["a", "bb"], [1, 2.5]]))
    a   bb
    1  2.5
    """
    cells = [[number(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def number(value: Any) -> str:
    """At most six significant digits.

    >>> number(2 / 3), number(66), number("x")
    ('0.666667', '66', 'x')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)
