"""What the verifier says when a schedule breaks a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Op


class Rule(StrEnum):
    """The rules, in the order in which they are checked; a later one needs the earlier ones to hold."""

    COMPLETENESS = "completeness"
    ORDER = "order on one rank"
    MESSAGES = "messages"
    CHANNEL = "channel order"
    DEADLOCK = "deadlock"
    ACTIVATIONS = "activation bound"
    WEIGHTS = "weight-gradient queue"
    PUBLISHED = "published order"


class Place(NamedTuple):
    """Where in a schedule: `position` counts the computations of the rank from 0."""

    rank: int
    position: int
    op: Op | None

    def __str__(self) -> str:
        what = f"{self.op} (op {self.position})" if self.op else "the end of its ops"
        return f"rank {self.rank} at {what}"


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, what the op there waits for, and the cycle of ranks that wait for each other.

    `cycle` is empty unless the rule is `deadlock`; each of its places waits for the next, the last for
    the first. It can be drawn: `dualpipe_ref.plot.draw_timeline` marks the ops of a cycle.
    """

    rule: Rule
    place: Place | None
    reason: str
    waits_for: str | None = None
    cycle: tuple[Place, ...] = ()

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        waits = f"; waits for {self.waits_for}" if self.waits_for else ""
        ring = (
            "; cycle: " + " -> ".join(map(str, (*self.cycle, self.cycle[0]))) if self.cycle else ""
        )
        return f"{self.rule}: {where}{self.reason}{waits}{ring}"


class VerificationError(ValueError):
    """A schedule breaks a rule; `violations` holds what was found."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("\n".join(map(str, violations)))
        self.violations = violations
