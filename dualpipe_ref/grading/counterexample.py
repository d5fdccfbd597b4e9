"""The smallest case that an answer fails on, as a run that can be looked at."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dualpipe_ref.plot.broken import highlight_of, run_of, title_of
from dualpipe_ref.plot.highlight import Highlight, Place
from dualpipe_ref.plot.text import WIDTH, text_timeline
from dualpipe_ref.plot.viewer_data import MOST_OPS, viewer_data
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.kinds import has_open_slots
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import Violation
from dualpipe_ref.simulate.costs import Costs, Network
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.timeline import Timeline


@dataclass(frozen=True)
class Counterexample:
    """A run, what to look at in it, and what it is.

    >>> from dualpipe_ref.schedule import build
    >>> case = Counterexample.at(build("1f1b", 2, 2), [(0, 1)], "holds two")
    >>> print(case.as_text())
    1f1b, P = 2, m = 2: holds two
    time, 0 to 9
    rank 0  |F0.0  |[F0.1]              |B0.0                |B0.1         |
    rank 1         |F0.0  |B0.0         |F0.1  |B0.1         |
    >>> case.as_data()["highlight"]["ops"]
    [[0, 1]]
    """

    timeline: Timeline
    highlight: Highlight
    title: str
    costs: Costs | None = None

    @classmethod
    def of(cls, schedule: Schedule, violation: Violation) -> Counterexample:
        """What runs of a schedule that breaks a rule, and where it breaks."""
        title = f"{_name(schedule)}: {title_of(violation)}"
        return cls(run_of(schedule, violation), highlight_of(violation), title)

    @classmethod
    def at(
        cls,
        schedule: Schedule,
        places: Iterable[Place],
        what: str,
        costs: Costs | None = None,
        network: Network | None = None,
    ) -> Counterexample:
        """A run of a schedule with ops to look at, each (rank, index); as far as it runs."""
        timeline = simulate(schedule, costs, network, until_stuck=True)
        return cls(timeline, Highlight(tuple(places)), f"{_name(schedule)}: {what}", costs)

    @classmethod
    def of_schedule(cls, schedule: Schedule) -> Counterexample:
        """A schedule with the first rule that it breaks, if it breaks one."""
        for violation in find_violations(schedule):
            return cls.of(schedule, violation)
        return cls.at(schedule, (), "every op can run")

    def as_text(self) -> str:
        """Title and timeline, in plain characters."""
        return f"{textwrap.fill(self.title, WIDTH)}\n{text_timeline(self.timeline, self.highlight)}"

    def as_data(self) -> dict[str, Any] | None:
        """The same for the viewer of pages and notebooks; None where it would be too large for that."""
        if sum(map(len, self.timeline.schedule.ops)) > MOST_OPS:
            return None
        return viewer_data(
            self.timeline, title=self.title, highlight=self.highlight, costs=self.costs
        )


def _name(schedule: Schedule) -> str:
    chunks = f", v = {schedule.placement.slots}" if has_open_slots(schedule.kind) else ""
    return f"{schedule.kind}, P = {schedule.ranks}, m = {schedule.microbatches}{chunks}"
