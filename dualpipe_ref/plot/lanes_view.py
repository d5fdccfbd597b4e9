"""The live view of an overlapped pair: its state, its controls, and the run that answers them. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from dualpipe_ref.plot.controls import Control, completed, number, slider
from dualpipe_ref.plot.exact import exact_number, time_text, whole_number
from dualpipe_ref.plot.lanes_data import Shown, lanes_data
from dualpipe_ref.plot.lanes_run import run_as_far
from dualpipe_ref.plot.lanes_text import named_order, order_of
from dualpipe_ref.plot.waiting_view import percent
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lane_search import best_order, lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, PairRun, Piece, published_order, run_pair

MOST_LAYERS = 3  # more, and the search for the best order keeps a browser waiting
PARTS = ("attention", "dispatch", "mlp", "combine")
DEFAULTS: dict[str, Any] = {"layers": 2, **dict.fromkeys(PARTS, 1), "order": None}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in ("layers", *PARTS)}


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """The run of this state's order, beside the published and the best one; `InputError` for a state that has none.

    `order` is {"layers": 2, "computation": ["A.F0", ...], "communication": [...]}, or None for the
    published one. An order of another number of layers than `layers` is passed over.

    >>> answer({"layers": 2, "combine": 2})["sentence"]
    'This order takes 14. The published one takes 14, the best 13, and no order takes less than 13.'
    """
    shown, length_of = shown_by(state), _lengths(state)
    layers = _layers(completed(state, DEFAULTS))
    data = lanes_data(shown, sentence_of(shown, length_of), length_of["bound"])
    return {
        **data,
        "rows": _rows(shown, length_of),
        "order": {"layers": layers, **named_order(shown.order)},
        "orders": {
            "published": {"layers": layers, **named_order(published_order(layers))},
            "best": {"layers": layers, **named_order(_best(layers, shown.costs))},
        },
    }


def shown_by(state: Mapping[str, Any]) -> Shown:
    """The order of this state, and its run as far as it goes."""
    given = completed(state, DEFAULTS)
    layers, costs = _layers(given), costs_of(given)
    order = _order(given["order"], layers)
    run, stop = run_as_far(order, costs)
    return Shown(order, run, costs, stop)


def _layers(given: Mapping[str, Any]) -> int:
    layers = whole_number("layers", given["layers"], 1)
    if layers > MOST_LAYERS:
        raise InputError(
            f"this view has at most {MOST_LAYERS} layers",
            f"layers = {layers}",
            f"layers = {MOST_LAYERS}",
        )
    return layers


def costs_of(given: Mapping[str, Any]) -> LaneCosts:
    """The durations, exact as they are written."""
    return LaneCosts(**{name: exact_number(name, given[name]) for name in PARTS})


def _order(given: object, layers: int) -> dict[Lane, list[Piece]]:
    if given is None or (isinstance(given, Mapping) and given.get("layers") != layers):
        return published_order(layers)
    order = order_of(given)
    # An order that lacks all of the last layer is complete in itself, and still not this one.
    named = 1 + max((piece.layer for pieces in order.values() for piece in pieces), default=0)
    if named != layers:
        raise InputError(f"an order of {layers} layers names layers 0 to {layers - 1}", f"{named}")
    return order


@cache
def _best(layers: int, costs: LaneCosts) -> dict[Lane, list[Piece]]:
    return best_order(layers, costs)


def _lengths(state: Mapping[str, Any]) -> dict[str, Number]:
    given = completed(state, DEFAULTS)
    layers, costs = _layers(given), costs_of(given)
    return {
        "published": run_pair(published_order(layers), costs).length,
        "best": run_pair(_best(layers, costs), costs).length,
        "bound": lower_bound(layers, costs),
    }


def sentence_of(shown: Shown, lengths: Mapping[str, Number]) -> str:
    """What the picture says."""
    here = "This order stops"
    if not shown.stop:
        here = f"This order takes {time_text(shown.run.length)}"
    return (
        f"{here}. The published one takes {time_text(lengths['published'])}, the best"
        f" {time_text(lengths['best'])}, and no order takes less than {time_text(lengths['bound'])}."
    )


def _rows(shown: Shown, lengths: Mapping[str, Number]) -> list[dict[str, str]]:
    """Length and exposed share of this order and of those that it is compared with."""
    whole = run_pair(published_order(1 + _last_layer(shown)), shown.costs)

    def row(label: str, length: Number) -> dict[str, str]:
        return {
            "label": label,
            "length": time_text(length),
            "exposed": percent(exposed(length, whole)),
        }

    here = {"label": "this order", "length": "stops", "exposed": "–"}
    return [
        here if shown.stop else row("this order", shown.run.length),
        row("published order", lengths["published"]),
        row("best order", lengths["best"]),
        row("lower bound", lengths["bound"]),
        {
            "label": "each lane's work",
            "length": f"{time_text(whole.busy(Lane.COMPUTE))} and {time_text(whole.busy(Lane.NETWORK))}",
            "exposed": "",
        },
    ]


def _last_layer(shown: Shown) -> int:
    return max(piece.layer for piece in shown.order[Lane.COMPUTE])


def exposed(length: Number, run: PairRun) -> Fraction:
    """Share of the communication of `run` that is exposed if the pair takes `length`."""
    return Fraction(length - run.busy(Lane.COMPUTE)) / Fraction(run.busy(Lane.NETWORK))


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change, but the order: that is moved in the view."""
    given = completed(state, DEFAULTS)
    labels = {"attention": "Attention", "dispatch": "Dispatch", "mlp": "MLP", "combine": "Combine"}
    layers = whole_number("layers", given["layers"], 1)
    return [
        slider("layers", "Layers", layers, (1, MOST_LAYERS)),
        *(
            number(name, labels[name], given[name], 0.1, 0.1, "time, in the forward as in I and W")
            for name in PARTS
        ),
    ]
