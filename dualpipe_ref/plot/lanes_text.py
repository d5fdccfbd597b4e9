"""An overlapped pair in plain characters, and the short names of its pieces. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from dualpipe_ref.plot.exact import time_text
from dualpipe_ref.plot.text import LEFT_OUT, WIDTH
from dualpipe_ref.schedule.errors import InputError, shortened
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.lanes import Lane, Order, PairRun, Part, Piece

LETTERS = {Part.ATTENTION: "A", Part.DISPATCH: "D", Part.MLP: "M", Part.COMBINE: "C"}
_PARTS = {letter: part for part, letter in LETTERS.items()}
_NAME = re.compile(r"([ADMC])\.([FIW])(\d{1,3})")
LEGEND = "A attention, D dispatch, M MLP, C combine"


def short_name(piece: Piece) -> str:
    """A piece in a few characters.

    >>> short_name(Piece(Part.MLP, OpKind.I, 2))
    'M.I2'
    """
    return f"{LETTERS[piece.part]}.{piece.kind}{piece.layer}"


def piece_of(name: object) -> Piece:
    """The piece of this short name. Raises `InputError` for another text.

    >>> print(piece_of("M.I2"))
    MLP(I) of layer 2
    """
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if not found:
        raise InputError("a piece is named like A.F0 or M.I2", shortened(name), "'A.F0'")
    return Piece(_PARTS[found[1]], OpKind(found[2]), int(found[3]))


def named_order(order: Order) -> dict[str, list[str]]:
    """An order as plain data.

    >>> from dualpipe_ref.simulate.lanes import published_order
    >>> named_order(published_order(1))["communication"]
    ['C.I0', 'D.F0', 'D.I0', 'C.F0']
    """
    return {str(lane): [short_name(piece) for piece in order[lane]] for lane in Lane}


def order_of(names: object) -> dict[Lane, list[Piece]]:
    """The order that `named_order` made this from. Raises `InputError` for what is none."""
    lists = names if isinstance(names, Mapping) else {}
    found: dict[Lane, list[Piece]] = {}
    for lane in Lane:
        given = lists.get(str(lane))
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise InputError("an order lists the pieces of both lanes", f"no {lane}")
        found[lane] = [piece_of(name) for name in given]
    return found


def text_lanes(run: PairRun, marked: Collection[Piece] = (), *, width: int = WIDTH) -> str:
    """A line a lane, to scale, each piece beginning at `|`; at most `width` characters wide.

    Pieces of `marked` stand in brackets. What does not fit is cut off.

    >>> from dualpipe_ref.simulate.lanes import LaneCosts, published_order, run_pair
    >>> print(text_lanes(run_pair(published_order(1), LaneCosts())))
    time, 0 to 6; A attention, D dispatch, M MLP, C combine
    computation    |A.F0|M.I0|M.W0|M.F0|A.I0|A.W0|
    communication  |C.I0|D.F0|D.I0     |C.F0|
    """
    labels = {
        piece: f"[{short_name(piece)}]" if piece in marked else short_name(piece)
        for piece in run.spans
    }
    scale = max(
        (
            Fraction(len(labels[piece]) + 1) / Fraction(end - start)
            for piece, (start, end) in run.spans.items()
        ),
        default=Fraction(1),
    )
    end = max((end for _, end in run.spans.values()), default=0)
    lines = [f"time, 0 to {time_text(end)}; {LEGEND}"]
    for lane in Lane:
        row, now = "", Fraction(0)
        for piece, (start, stop) in sorted(run.spans.items(), key=lambda item: item[1]):
            if piece.lane is lane:
                now = Fraction(stop)
                row = row.ljust(round(Fraction(start) * scale)) + "|" + labels[piece]
        row = f"{lane:<15}{row.ljust(round(now * scale))}|"
        lines.append(row if len(row) <= width else row[: width - 1] + LEFT_OUT)
    return "\n".join(lines)
