"""The smallest case that an answer fails on, as two lanes that can be looked at."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dualpipe_ref.plot.lanes_data import Shown, lanes_data
from dualpipe_ref.plot.lanes_text import text_lanes
from dualpipe_ref.plot.text import WIDTH
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Piece

from .steps import Step, begun, timed


@dataclass(frozen=True)
class LanesCase:
    """Steps as they run at these costs, the pieces to look at, and what the case is."""

    steps: Sequence[Step]
    layers: int
    costs: LaneCosts
    title: str
    marked: tuple[Piece, ...] = ()

    def as_text(self) -> str:
        """Title and lanes, in plain characters."""
        lanes = text_lanes(timed(self.steps, self.costs), self.marked)
        return f"{textwrap.fill(self.title, WIDTH)}\n{lanes}"

    def as_data(self) -> dict[str, Any]:
        """The same for the viewer of pages and notebooks."""
        pieces = begun(self.steps)
        order = {lane: [piece for piece in pieces if piece.lane is lane] for lane in Lane}
        shown = Shown(order, timed(self.steps, self.costs), self.costs, marked=self.marked)
        return lanes_data(shown, self.title, lower_bound(self.layers, self.costs))
