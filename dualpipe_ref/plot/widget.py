"""The viewers as notebook widgets. The one place where anywidget is imported."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from dualpipe_ref.plot.bundle import bundle

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError(
        "interactive timelines in a notebook need anywidget, which cannot be imported here;"
        " install it with: pip install anywidget"
    ) from error

if "google.colab" in sys.modules:
    # Colab shows widgets that do not come with it only after this call.
    import_module("google.colab.output").enable_custom_widget_manager()


class TimelineViewer(anywidget.AnyWidget):
    """A timeline to point at, zoom and walk through: `TimelineViewer(data=viewer_data(timeline))`.

    `selected` is the op that the reader chose, [rank, index in the rank's ops], or [] for none;
    it can be set as well. A change of `data` shows another timeline.

    >>> from dualpipe_ref import build, simulate
    >>> from dualpipe_ref.plot import viewer_data
    >>> viewer = TimelineViewer(data=viewer_data(simulate(build("1f1b", 2, 2))))
    >>> viewer.selected
    []
    """

    _esm = bundle("viewer.js")
    data = traitlets.Dict().tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)


class LedgerView(anywidget.AnyWidget):
    """Stacked bars and facts: what `dualpipe_ref.plot.live.answer("waiting", state)` returns."""

    _esm = bundle("ledger.js")
    data = traitlets.Dict().tag(sync=True)


class LanesView(anywidget.AnyWidget):
    """The lanes of a pair: what `dualpipe_ref.plot.live.answer("lanes", state)` returns.

    `order` is the one that the reader made last, {} before that; a view that is `fixed` asks for none.
    """

    _esm = bundle("lanes.js")
    data = traitlets.Dict().tag(sync=True)
    order = traitlets.Dict().tag(sync=True)
    fixed = traitlets.Bool(False).tag(sync=True)


class PacketsView(anywidget.AnyWidget):
    """Packets on their way over two nodes: what `dualpipe_ref.plot.live.answer("packets", state)` returns."""

    _esm = bundle("packets.js")
    data = traitlets.Dict().tag(sync=True)


class RingView(anywidget.AnyWidget):
    """A schedule of a ring, step by step: what `dualpipe_ref.plot.live.answer("ring", state)` returns."""

    _esm = bundle("ring.js")
    data = traitlets.Dict().tag(sync=True)


def viewer_of(data: dict[str, Any]) -> anywidget.AnyWidget:
    """The widget that shows these data, of a timeline, of lanes or of a ring, to look at.

    >>> type(viewer_of({"view": "lanes"})).__name__, type(viewer_of({"ops": []})).__name__
    ('LanesView', 'TimelineViewer')
    """
    if data.get("view") == "ring":
        return RingView(data=data)
    if data.get("view") == "lanes":
        return LanesView(data=data, fixed=True)
    return TimelineViewer(data=data)
