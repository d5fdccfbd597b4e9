"""Pictures of a timeline: matplotlib figures, trace files, and views that answer their controls.

The drawing functions import matplotlib when they are first asked for, `explore`, `calculator`, `fits`, `volumes`,
`packets`, `rings`, `chooser`, `sms` and `drag_lanes` the notebook's widgets; everything else here needs the standard library only.

>>> from dualpipe_ref.plot import cells, trace_events
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dualpipe_ref.plot.cells import Cell, cells
from dualpipe_ref.plot.highlight import Highlight
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.plot.trace import trace_events, write_trace
from dualpipe_ref.plot.viewer_data import viewer_data

if TYPE_CHECKING:
    from dualpipe_ref.plot.comparison import draw_comparison
    from dualpipe_ref.plot.curves import draw_curves
    from dualpipe_ref.plot.footprint import draw_footprint
    from dualpipe_ref.plot.lanes_figure import draw_lanes
    from dualpipe_ref.plot.ledger_figure import draw_ledger
    from dualpipe_ref.plot.live_figure import (
        calculator,
        chooser,
        drag_lanes,
        explore,
        fits,
        packets,
        rings,
        sms,
        volumes,
    )
    from dualpipe_ref.plot.memory import draw_memory
    from dualpipe_ref.plot.packets_figure import draw_packets
    from dualpipe_ref.plot.placement import draw_placements
    from dualpipe_ref.plot.ring_figure import draw_handoff, draw_ring
    from dualpipe_ref.plot.role_map import draw_role_map
    from dualpipe_ref.plot.routes import draw_routes
    from dualpipe_ref.plot.sm_map import draw_sm_map
    from dualpipe_ref.plot.sms_figure import draw_sms
    from dualpipe_ref.plot.timeline import draw_timeline
    from dualpipe_ref.plot.violation import draw_violation

_LATE = {
    "calculator": "dualpipe_ref.plot.live_figure",
    "chooser": "dualpipe_ref.plot.live_figure",
    "drag_lanes": "dualpipe_ref.plot.live_figure",
    "explore": "dualpipe_ref.plot.live_figure",
    "fits": "dualpipe_ref.plot.live_figure",
    "packets": "dualpipe_ref.plot.live_figure",
    "rings": "dualpipe_ref.plot.live_figure",
    "sms": "dualpipe_ref.plot.live_figure",
    "volumes": "dualpipe_ref.plot.live_figure",
    "draw_timeline": "dualpipe_ref.plot.timeline",
    "draw_comparison": "dualpipe_ref.plot.comparison",
    "draw_curves": "dualpipe_ref.plot.curves",
    "draw_footprint": "dualpipe_ref.plot.footprint",
    "draw_handoff": "dualpipe_ref.plot.ring_figure",
    "draw_lanes": "dualpipe_ref.plot.lanes_figure",
    "draw_ledger": "dualpipe_ref.plot.ledger_figure",
    "draw_memory": "dualpipe_ref.plot.memory",
    "draw_packets": "dualpipe_ref.plot.packets_figure",
    "draw_placements": "dualpipe_ref.plot.placement",
    "draw_ring": "dualpipe_ref.plot.ring_figure",
    "draw_role_map": "dualpipe_ref.plot.role_map",
    "draw_routes": "dualpipe_ref.plot.routes",
    "draw_sms": "dualpipe_ref.plot.sms_figure",
    "draw_sm_map": "dualpipe_ref.plot.sm_map",
    "draw_violation": "dualpipe_ref.plot.violation",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Cell",
    "Highlight",
    "Palette",
    "Theme",
    "calculator",
    "cells",
    "chooser",
    "drag_lanes",
    "draw_comparison",
    "draw_curves",
    "draw_footprint",
    "draw_handoff",
    "draw_lanes",
    "draw_ledger",
    "draw_memory",
    "draw_packets",
    "draw_placements",
    "draw_ring",
    "draw_role_map",
    "draw_routes",
    "draw_sm_map",
    "draw_sms",
    "draw_timeline",
    "draw_violation",
    "explore",
    "fits",
    "packets",
    "palette",
    "rings",
    "sms",
    "trace_events",
    "viewer_data",
    "volumes",
    "write_trace",
]
