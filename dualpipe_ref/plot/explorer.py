"""A view with its controls in a notebook that has a kernel."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from dualpipe_ref.plot.controls import Control, is_shown
from dualpipe_ref.plot.live import answer, controls, nearest
from dualpipe_ref.plot.widget import LanesView, LedgerView, PacketsView, RingView, TimelineViewer
from dualpipe_ref.schedule.errors import InputError

try:
    import ipywidgets
except ImportError as error:
    raise ImportError(
        "an explorer in a notebook needs ipywidgets, which cannot be imported here;"
        " install it with: pip install ipywidgets"
    ) from error

_SHOWN_BY: dict[str, Any] = {
    "timeline": TimelineViewer,
    "waiting": LedgerView,
    "lanes": LanesView,
    "footprint": LedgerView,
    "volume": LedgerView,
    "sms": LedgerView,
    "chooser": LedgerView,
    "packets": PacketsView,
    "ring": RingView,
}


class Explorer:
    """Controls above a view. `box` is what a notebook shows; `state`, `inputs` and `shown` are its parts.

    A state without an answer leaves the last picture, says which rule it breaks, and offers the
    nearest state that has one.

    >>> explorer = Explorer("timeline", {"kind": "dualpipe", "ranks": 4, "microbatches": 8})
    >>> explorer.inputs["microbatches"].value = 7
    >>> explorer.message.value
    '<span role="alert">DualPipe needs m even and at least 2P - 2; got P = 4, m = 7; nearest legal: m = 8</span>'
    >>> explorer.mend.description
    'use m = 8'
    >>> explorer.mend.click()
    >>> explorer.state["microbatches"], explorer.message.value
    (8, '')
    """

    def __init__(self, view: str, state: Mapping[str, Any]) -> None:
        self.view, self.state = view, dict(state)
        self.described = controls(view, state)
        self.inputs = {control["name"]: _input(control) for control in self.described}
        self._show_inputs()
        self.shown = _SHOWN_BY[view](data=answer(view, state))
        self.message = ipywidgets.HTML()
        self.mend = ipywidgets.Button(layout={"display": "none", "width": "auto"})
        self._legal: dict[str, Any] | None = None
        self._setting = False
        for name, widget in self.inputs.items():
            widget.observe(lambda change, name=name: self._changed(name, change["new"]), "value")
        if self.shown.has_trait("order"):  # a view that changes a part of the state by itself
            self.shown.observe(lambda change: self._changed("order", change["new"]), "order")
        self.mend.on_click(lambda _: self._use_legal())
        row = ipywidgets.Box(list(self.inputs.values()), layout={"flex_flow": "row wrap"})
        problem = ipywidgets.HBox([self.message, self.mend])
        self.box = ipywidgets.VBox([row, problem, self.shown])

    def _changed(self, name: str, value: Any) -> None:
        # A slider may say 0.35000000000000003 where its scale says 0.35.
        self.state[name] = round(value, 9) if isinstance(value, float) else value
        self._show_inputs()
        if not self._setting:
            self._answer()

    def _show_inputs(self) -> None:
        """Hide the controls that have no use in this state."""
        values = {name: widget.value for name, widget in self.inputs.items()}
        for control in self.described:
            layout = self.inputs[control["name"]].layout
            layout.display = None if is_shown(control, values) else "none"

    def _answer(self) -> None:
        try:
            self.shown.data = answer(self.view, self.state)
        except InputError as error:
            self._legal = nearest(self.view, self.state)
            words = html.escape(str(error), quote=False)
            self.message.value = f'<span role="alert">{words}</span>'
        else:
            self._legal, self.message.value = None, ""
        self.mend.layout.display = "none" if self._legal is None else ""
        self.mend.description = f"use {self._differences()}"

    def _differences(self) -> str:
        """Where the nearest legal state differs from the present one, as errors name it."""
        short = {"ranks": "P", "microbatches": "m"}
        legal = self._legal or {}
        return ", ".join(
            f"{short.get(name, name)} = {value}"
            for name, value in legal.items()
            if value != self.state.get(name)
        )

    def _use_legal(self) -> None:
        if self._legal is None:
            return
        legal, self._setting = self._legal, True
        for name, value in legal.items():
            if name in self.inputs:
                _set(self.inputs[name], value)
        self.state, self._setting = dict(legal), False
        self._answer()


def _input(control: Control) -> Any:
    """The widget of a control. A number is text: a fraction such as 11/5 stays exact."""
    common = {"description": control["label"], "style": {"description_width": "initial"}}
    if control["help"]:
        common["tooltip"] = control["help"]
    value = control["value"]
    if control["type"] == "select":
        return ipywidgets.Dropdown(options=control["options"], value=value, **common)
    if control["type"] == "range":
        ends = {"min": control["min"], "max": control["max"], "step": control["step"]}
        whole = isinstance(control["step"], int)
        slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        return slider(value=value, continuous_update=False, **ends, **common)
    text = "" if value is None else str(value)
    placed = {"layout": {"width": "8em"}, "continuous_update": False}
    return ipywidgets.Text(value=text, **placed, **common)


def _set(widget: Any, value: Any) -> None:
    """Set a value that may lie beyond a slider's ends."""
    if isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        widget.max, widget.min = max(widget.max, value), min(widget.min, value)
        widget.value = value
    else:
        widget.value = "" if value is None else str(value)
