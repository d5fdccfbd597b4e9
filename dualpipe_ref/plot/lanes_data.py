"""What the viewer of lanes reads of a pair, ready for JSON. Standard library only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dualpipe_ref.plot.exact import time_text
from dualpipe_ref.plot.lanes_run import Stop
from dualpipe_ref.plot.lanes_text import LETTERS, short_name
from dualpipe_ref.plot.palette import BARS, LABELS, Palette, palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Order, PairRun, Part, Piece, needs

SHORT = {
    Part.ATTENTION: ["attention", "attn", LETTERS[Part.ATTENTION]],
    Part.DISPATCH: ["dispatch", "disp", LETTERS[Part.DISPATCH]],
    Part.MLP: ["MLP", "MLP", LETTERS[Part.MLP]],
    Part.COMBINE: ["combine", "comb", LETTERS[Part.COMBINE]],
}
KINDS = (OpKind.F, OpKind.I, OpKind.W)


@dataclass(frozen=True)
class Shown:
    """A run of a pair in `order`, which may have stopped; pieces of `marked` are outlined."""

    order: Order
    run: PairRun
    costs: LaneCosts
    stop: Stop | None = None
    marked: Collection[Piece] = ()


def lanes_data(shown: Shown, sentence: str, bound: Number | None = None) -> dict[str, Any]:
    """Both lanes piece by piece, with colours. Pieces that never start stand behind what ran.

    >>> from dualpipe_ref.simulate.lanes import published_order, run_pair
    >>> order, costs = published_order(1), LaneCosts()
    >>> data = lanes_data(Shown(order, run_pair(order, costs), costs), "six units")
    >>> [piece["id"] for piece in data["lanes"][1]["pieces"]], data["length"]
    (['C.I0', 'D.F0', 'D.I0', 'C.F0'], 6)
    """
    lanes = [{"name": str(lane), "pieces": _pieces(shown, lane)} for lane in Lane]
    ends = [piece["end"] for lane in lanes for piece in lane["pieces"]]  # type: ignore[index]
    length = max((end for _, end in shown.run.spans.values()), default=0)
    return {
        "view": "lanes",
        "sentence": sentence,
        "problem": [shown.stop.reason, *shown.stop.sentences] if shown.stop else [],
        "lanes": lanes,
        "end": max([*ends, float(bound or 0)]),
        "length": _drawn(length),
        "bound": None if bound is None else _drawn(bound),
        "kinds": [
            {"name": str(kind), "label": LABELS[kind], **BARS[kind]._asdict()} for kind in KINDS
        ],
        "marked": [short_name(piece) for piece in shown.marked],
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def _pieces(shown: Shown, lane: Lane) -> list[dict[str, Any]]:
    free: Number = 0
    found = []
    wanted = needs(1 + max(piece.layer for order in shown.order.values() for piece in order))
    for piece in shown.order[lane]:
        span = shown.run.spans.get(piece)
        start, end = span or (free, free + shown.costs.of(piece))
        free = end
        found.append(
            {
                "id": short_name(piece),
                "labels": SHORT[piece.part],
                "layer": piece.layer,
                "kind": KINDS.index(piece.kind),
                "start": _drawn(start),
                "end": _drawn(end),
                "ran": span is not None,
                "words": _words(shown, piece, wanted[piece]),
            }
        )
    return found


def _words(shown: Shown, piece: Piece, before: Piece | None) -> str:
    """What is known of one piece."""
    span = shown.run.spans.get(piece)
    when = f"from {time_text(span[0])} to {time_text(span[1])}" if span else "never starts"
    if before is None:
        return f"{piece}: {when}; waits for nothing"
    ended = shown.run.spans.get(before)
    until = f"ends {time_text(ended[1])}" if ended else "never ends"
    return f"{piece}: {when}; needs {before}, which {until}"


def _drawn(time: Number) -> int | float:
    number = float(time)
    return int(number) if number == int(number) else float(f"{number:.9g}")


def _colours(colours: Palette) -> dict[str, Any]:
    plain = ("ink", "muted", "paper", "idle", "border", "highlight")
    fills = [colours.fill(kind) for kind in KINDS]
    return {
        **{name: getattr(colours, name) for name in plain},
        "fills": fills,
        "inks": [colours.ink_on(fill) for fill in fills],
    }
