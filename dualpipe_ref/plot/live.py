"""Views that answer their controls: in a page by Python in the browser, in a notebook by its kernel.

Standard library only: this is what both call. `live_figure` shows a view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from dualpipe_ref.plot import (
    chooser_view,
    footprint_view,
    lanes_view,
    packets_view,
    ring_view,
    sms_view,
    timeline_view,
    volume_view,
    waiting_view,
)
from dualpipe_ref.plot.controls import Control
from dualpipe_ref.schedule.errors import InputError, shortened

State = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """What makes a view; `names` are the parts of its state as errors call them."""

    answer: Callable[[State], dict[str, Any]]
    controls: Callable[[State], list[Control]]
    names: Mapping[str, str]


VIEWS = {
    "timeline": View(timeline_view.answer, timeline_view.controls, timeline_view.NAMES),
    "waiting": View(waiting_view.answer, waiting_view.controls, waiting_view.NAMES),
    "lanes": View(lanes_view.answer, lanes_view.controls, lanes_view.NAMES),
    "footprint": View(footprint_view.answer, footprint_view.controls, footprint_view.NAMES),
    "volume": View(volume_view.answer, volume_view.controls, volume_view.NAMES),
    "ring": View(ring_view.answer, ring_view.controls, ring_view.NAMES),
    "sms": View(sms_view.answer, sms_view.controls, sms_view.NAMES),
    "chooser": View(chooser_view.answer, chooser_view.controls, chooser_view.NAMES),
    "packets": View(packets_view.answer, packets_view.controls, packets_view.NAMES),
}


def answer(view: str, state: State) -> dict[str, Any]:
    """What `view` shows in this state, ready for JSON. Raises `InputError` for a state that has no answer.

    >>> answer("timeline", {"kind": "dualpipe", "ranks": 8, "microbatches": 20, "FB": "11/5"})["summary"]
    'makespan 274/5 = 54.8, idle 2 to 18/5 = 3.6 a rank (5.5 %), activations held at most 9'
    """
    return _view(view).answer(state)


def controls(view: str, state: State) -> list[Control]:
    """The controls of `view`, with the values of this state; see `dualpipe_ref.plot.controls`.

    >>> [control["name"] for control in controls("timeline", {})][:3]
    ['kind', 'ranks', 'microbatches']
    """
    return _view(view).controls(state)


def nearest(view: str, state: State) -> dict[str, Any] | None:
    """The nearest state that has an answer, `state` itself if it has one; None where errors name none.

    >>> nearest("timeline", {"kind": "dualpipe", "ranks": 5, "microbatches": 7})
    {'kind': 'dualpipe', 'ranks': 6, 'microbatches': 10}
    """
    tried = dict(state)
    for _ in range(8):  # each round mends one part of the state
        try:
            answer(view, tried)
        except InputError as error:
            change = _change(_view(view), error.nearest or "")
            if change is None:
                return None
            tried |= change
        else:
            return tried
    return None


def _change(view: View, words: str) -> dict[str, Any] | None:
    """`m = 22` as a change of the state."""
    found = re.fullmatch(r"(\w+) = (\d+)", words)
    if found and found[1] in view.names:
        return {view.names[found[1]]: int(found[2])}
    return None


def _view(name: str) -> View:
    if name in VIEWS:
        return VIEWS[name]
    close = get_close_matches(shortened(name), VIEWS, n=1, cutoff=0)
    raise InputError(f"a view is one of {', '.join(VIEWS)}", shortened(name), repr(close[0]))
