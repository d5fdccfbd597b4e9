"""The picture of a broken rule: how far the schedule runs, and where it breaks or waits in a ring."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dualpipe_ref.plot.broken import highlight_of, run_of, title_of
from dualpipe_ref.plot.palette import Theme
from dualpipe_ref.plot.timeline import draw_timeline
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.violations import Place, Violation
from dualpipe_ref.simulate.costs import Costs
from dualpipe_ref.simulate.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_violation(
    schedule: Schedule,
    violation: Violation,
    *,
    theme: Theme = "light",
    costs: Costs | None = None,
    width: float | None = None,
) -> Figure:
    """Draw the ops that run before the schedule stops, with the op of the violation outlined.

    For a deadlock the ring is drawn: the ops that never start stand outlined where their ranks
    stopped, with an arrow from each to the one that it waits for. Sends block in that run.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.schedule.verify import find_violations
    >>> schedule = build("gpipe", 2, 4)
    >>> found = find_violations(schedule, max_activations=3)[0]
    >>> draw_violation(schedule, found).texts[0].get_text()
    'activation bound: rank 0 at F0.3 (op 3)'
    """
    timeline = run_of(schedule, violation, costs)
    for place in violation.cycle:
        timeline = _with_waiting_op(timeline, place, costs or Costs())
    return draw_timeline(
        timeline,
        theme=theme,
        title=title_of(violation),
        highlight=highlight_of(violation),
        costs=costs,
        width=width,
    )


def _with_waiting_op(timeline: Timeline, place: Place, costs: Costs) -> Timeline:
    """The run with one more op on this rank: the one that it waits to start."""
    rank, position, op = place
    if op is None or position != len(timeline.starts[rank]):
        return timeline
    stopped = timeline.ends[rank][-1] if timeline.ends[rank] else 0
    until = stopped + costs.durations(timeline.schedule, rank)[position]
    starts, ends = list(timeline.starts), list(timeline.ends)
    starts[rank], ends[rank] = (*starts[rank], stopped), (*ends[rank], until)
    return replace(timeline, starts=tuple(starts), ends=tuple(ends))
