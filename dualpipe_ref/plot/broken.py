"""A schedule that breaks a rule, as a run with something to point at. Standard library only."""

from __future__ import annotations

from dualpipe_ref.plot.highlight import Highlight
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.violations import Rule, Violation
from dualpipe_ref.simulate.costs import Costs, Network
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.timeline import Timeline


def run_of(schedule: Schedule, violation: Violation, costs: Costs | None = None) -> Timeline:
    """What runs before the schedule stops, or all of it. Sends block where the rule is the deadlock.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.schedule.verify import find_violations
    >>> schedule = build("gpipe", 2, 4)
    >>> found = find_violations(schedule, max_activations=3)[0]
    >>> run_of(schedule, found).makespan, highlight_of(found).ops, title_of(found)
    (15, ((0, 3),), 'activation bound: rank 0 at F0.3 (op 3)')
    """
    network = Network(sends="rendezvous" if violation.rule is Rule.DEADLOCK else "eager")
    return simulate(schedule, costs, network, until_stuck=True)


def highlight_of(violation: Violation) -> Highlight:
    """The op of the violation; for a deadlock the ring of ops, each with an arrow to what it waits for."""
    if violation.cycle:
        return Highlight.cycle(violation.cycle)
    has_op = violation.place is not None and violation.place.op is not None
    return Highlight((violation.place[:2],)) if violation.place and has_op else Highlight()


def title_of(violation: Violation) -> str:
    """The rule and where it breaks."""
    ring = " waits for ".join(str(place) for place in violation.cycle)
    return f"{violation.rule}: {ring or violation.place or violation.reason}"
