"""Show a live view: as HTML in a page that is being built, as widgets in a notebook with a kernel."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dualpipe_ref.plot import lanes_view, packets_view, sms_data, timeline_view
from dualpipe_ref.plot.bars import as_html as bars_as_html
from dualpipe_ref.plot.bars import table_as_html
from dualpipe_ref.plot.live import State, answer, controls

if TYPE_CHECKING:
    from IPython.display import HTML

PAGE = "DUALPIPE_REF_PAGE"  # set while the book's pages are built


def explore(
    kind: str = "dualpipe",
    *,
    ranks: int = 8,
    microbatches: int = 20,
    chunks: int | None = None,
    costs: Mapping[str, Any] | None = None,
    equal_work: bool = False,
    choices: Sequence[str] | None = None,
    height: int | None = None,
    alt: str = "",
) -> Any:
    """The timeline of a schedule, with controls for its size and costs.

    `chunks` are the stages a rank of interleaved 1F1B. `costs` are those that are not 1, such as
    {"FB": "11/5"}, and "latency"; with `equal_work` they are those of 1/P of the model, whatever the number
    of stages that make it up. `choices` are the kinds that can be chosen (all by default); `height` that of
    all rows in pixels; `alt` says in words what a page that runs no Python shows instead. Raises `InputError`
    where the first state has no answer, and ImportError in a notebook without ipywidgets and anywidget.
    """
    state = {"kind": kind, "ranks": ranks, "microbatches": microbatches, **(costs or {})}
    shown = {
        "chunks": chunks,
        "equal_work": equal_work or None,
        "choices": list(choices) if choices else None,
        "height": height,
    }
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
    return _page_element("waiting", state, bars_as_html(answer("waiting", state)))


def fits(**state: Any) -> Any:
    """What ranks of DeepSeek-V3 hold at their peaks beside the memory of a device, with controls; see `simulate.footprint`.

    `state` are the values to start with: kind, ranks, microbatches, policy, moments, expert_ranks, device (GB).
    """
    if not os.environ.get(PAGE):
        return _widgets("footprint", state)
    words = bars_as_html(answer("footprint", state))
    return _page_element("footprint", state, words)


def volumes(**state: Any) -> Any:
    """How many bytes and milliseconds the experts of a token cost on each link, with controls; see `simulate.volumes`.

    `state` are the values to start with: nodes, gpus_per_node, experts, experts_per_token, node_limit, hidden, tokens,
    dispatch and combine (bytes of a number), rdma and nvlink (GB/s).
    """
    if not os.environ.get(PAGE):
        return _widgets("volume", state)
    return _page_element("volume", state, bars_as_html(answer("volume", state)))


def chooser(*, alt: str = "", **state: Any) -> Any:
    """Schedules or transports ranked for a model and a cluster, with controls; see `simulate.cluster.ranked`.

    `state` are the values to start with, see `plot.chooser_view.DEFAULTS`; `alt` says in words what a page that runs no
    Python shows instead.
    """
    if not os.environ.get(PAGE):
        return _widgets("chooser", state)
    from dualpipe_ref.plot.ledger_figure import draw_ledger
    from dualpipe_ref.plot.page import show

    data = answer("chooser", state)
    words = " ".join(bar["label"] + "." for bar in data["bars"])
    picture = show(
        lambda theme: draw_ledger(data["bars"], data["palettes"][theme]),
        alt or f"Steps as stacked bars. {words} {data['sentence']}",
    )
    return _page_element("chooser", state, picture.data + table_as_html(data))


def packets(*, alt: str = "", **state: Any) -> Any:
    """A dispatch or a combine over two nodes of eight GPUs, message by message; see `comm.protocol.packets`.

    `state` are the values to start with: way, tokens, experts_per_token, node_limit, ring, channels, seed; `alt` says
    in words what a page that runs no Python shows instead.
    """
    if not os.environ.get(PAGE):
        return _widgets("packets", state)
    from dualpipe_ref.plot.packets_figure import draw_packets
    from dualpipe_ref.plot.page import show

    ran = packets_view.run_case(packets_view.case_of(state))
    picture = show(
        lambda theme: draw_packets(ran.traffic, theme=theme),  # type: ignore[arg-type]
        alt or f"Messages a tick over RDMA and NVLink. {answer('packets', state)['sentence']}",
    )
    return _page_element("packets", state, picture.data)


def rings(**state: Any) -> Any:
    """What the search of all schedules finds in a ring with a mistake, step by step; see `comm.protocol.ring_mistakes`.

    `state` are the values to start with: mistake, slots, messages.
    """
    if not os.environ.get(PAGE):
        return _widgets("ring", state)
    from dualpipe_ref.plot.ring_data import as_html

    return _page_element("ring", state, as_html(answer("ring", state)))


def sms(*, alt: str = "", **state: Any) -> Any:
    """An overlapped pair over the SMs that communication has, with controls; see `simulate.cluster.reserved`.

    `state` are the values to start with: sms, ratio (of communication to computation), rdma and nvlink (GB/s), knee (SMs
    that fill the network card); `alt` says in words what a page that runs no Python shows instead.
    """
    if not os.environ.get(PAGE):
        return _widgets("sms", state)
    from dualpipe_ref.plot.page import show
    from dualpipe_ref.plot.sms_figure import draw_sms

    case = sms_data.case_of(state)
    picture = show(
        lambda theme: draw_sms(case, theme=theme),  # type: ignore[arg-type]
        alt or f"A pair's time over its SMs. {answer('sms', state)['sentence']}",
    )
    return _page_element("sms", state, picture.data)


def drag_lanes(*, alt: str = "", **state: Any) -> Any:
    """The lanes of an overlapped pair, whose pieces can be moved; see `simulate.lanes`.

    `state` are the values to start with: layers (1 to 3), attention, dispatch, mlp, combine (times),
    order; `alt` says in words what a page that runs no Python shows instead.
    """
    if not os.environ.get(PAGE):
        return _widgets("lanes", state)
    from dualpipe_ref.plot.lanes_figure import draw_lanes
    from dualpipe_ref.plot.page import show

    run, data = lanes_view.shown_by(state).run, answer("lanes", state)
    picture = show(
        lambda theme: draw_lanes({"this order": run}, theme=theme, bound=data["bound"]),  # type: ignore[arg-type]
        alt or f"The lanes of an overlapped pair. {data['sentence']}",
    )
    return _page_element("lanes", state, picture.data)


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
