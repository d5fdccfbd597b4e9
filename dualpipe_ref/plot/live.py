"""Views that answer their controls: in a page by Python in the browser, in a notebook by its kernel.

`answer` and `controls` need the standard library only: they are what both call. `explore` and
`calculator` show a view, as HTML in a page that is being built and as widgets in a notebook.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from dualpipe_ref.plot import timeline_view, waiting_view
from dualpipe_ref.plot.controls import Control
from dualpipe_ref.schedule.errors import InputError, shortened

if TYPE_CHECKING:
    from IPython.display import HTML

State = Mapping[str, Any]
PAGE = "DUALPIPE_REF_PAGE"  # set while the book's pages are built


@dataclass(frozen=True)
class View:
    """What makes a view; `names` are the parts of its state as errors call them."""

    answer: Callable[[State], dict[str, Any]]
    controls: Callable[[State], list[Control]]
    names: Mapping[str, str]


VIEWS = {
    "timeline": View(timeline_view.answer, timeline_view.controls, timeline_view.NAMES),
    "waiting": View(waiting_view.answer, waiting_view.controls, waiting_view.NAMES),
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


def explore(
    kind: str = "dualpipe",
    *,
    ranks: int = 8,
    microbatches: int = 20,
    costs: Mapping[str, Any] | None = None,
    choices: Sequence[str] | None = None,
    height: int | None = None,
    alt: str = "",
) -> Any:
    """The timeline of a schedule, with controls for its size and costs.

    `costs` are those that are not 1, such as {"FB": "11/5"}, and "latency"; `choices` the kinds
    that can be chosen (all by default); `height` that of all rows in pixels; `alt` says in words
    what a page that runs no Python shows instead. Raises `InputError` where the first state has no
    answer, and ImportError in a notebook without ipywidgets and anywidget.
    """
    state = {"kind": kind, "ranks": ranks, "microbatches": microbatches, **(costs or {})}
    shown = {"choices": list(choices) if choices else None, "height": height}
    state |= {name: value for name, value in shown.items() if value is not None}
    if not os.environ.get(PAGE):
        return _widgets("timeline", state)
    from dualpipe_ref.plot.page import show
    from dualpipe_ref.plot.timeline import draw_timeline

    timeline, used = timeline_view.timeline_of(state)
    title = timeline_view.title_of(state)
    picture = show(
        lambda theme: draw_timeline(timeline, theme=theme, title=title, costs=used),  # type: ignore[arg-type]
        alt or f"Timeline of {title}: {answer('timeline', state)['summary']}.",
    )
    return _page_element("timeline", state, picture.data)


def calculator(**state: Any) -> Any:
    """How many devices' worth of time waiting takes, with controls; see `simulate.waiting`.

    `state` are the values to start with: gpus, waiting, hidden, reserved_sms, sms.
    """
    if not os.environ.get(PAGE):
        return _widgets("waiting", state)
    return _page_element("waiting", state, waiting_view.as_html(answer("waiting", state)))


def _widgets(view: str, state: State) -> Any:
    from dualpipe_ref.plot.explorer import Explorer

    return Explorer(view, state).box


def _page_element(view: str, state: State, fallback: str) -> HTML:
    """What the page's script looks for; readers without it see `fallback`."""
    from IPython.display import HTML

    content = {
        "view": view,
        "state": dict(state),
        "controls": controls(view, state),
        "result": answer(view, state),
    }
    return HTML(
        f'<div class="dualpipe-live" data-view="{html.escape(view)}">'
        f'<script type="application/json">{script_json(content)}</script>'
        f'<div class="dualpipe-fallback">{fallback}</div></div>'
    )


def script_json(content: Any) -> str:
    r"""JSON that cannot end the <script> that it stands in.

    >>> script_json({"title": "</script>"})
    '{"title":"\\u003c/script>"}'
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
