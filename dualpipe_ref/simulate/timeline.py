"""The one record of a run, simulated or measured: when each op ran and each message travelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Message, Op, Schedule
from dualpipe_ref.simulate.costs import Number


class Span(NamedTuple):
    """One op on one rank, from `start` to `end`."""

    op: Op
    start: Number
    end: Number


class Transfer(NamedTuple):
    """One message: issued by its source at `sent`, on the wire from `start`, there at `end`."""

    message: Message
    sent: Number
    start: Number
    end: Number


class Idle(NamedTuple):
    """A rank's idle time before its first op, between its ops, and after its last until the makespan."""

    start: Number
    inside: Number
    end: Number

    @property
    def total(self) -> Number:
        return self.start + self.inside + self.end


@dataclass(frozen=True, repr=False)
class Timeline:
    """When everything of a schedule happened. Times count from 0 in `unit`.

    `starts[rank][i]` and `ends[rank][i]` belong to `schedule.ops[rank][i]`; a run that stopped
    before its end has fewer of them than ops. A recorded run has the same form as a simulated one (`source` tells them apart), so every plot and check takes both.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import Costs, simulate
    >>> timeline = simulate(build("1f1b", ranks=2, microbatches=2), Costs(F=1, I=1, W=1))
    >>> timeline.makespan, timeline.busy, timeline.idle
    (9, (6, 6), (3, 3))
    """

    schedule: Schedule
    starts: tuple[tuple[Number, ...], ...]
    ends: tuple[tuple[Number, ...], ...]
    transfers: Sequence[Transfer] = ()
    source: str = "simulated"
    unit: str = ""

    @cached_property
    def spans(self) -> tuple[tuple[Span, ...], ...]:
        """Ops with their times, per rank, in order."""
        return tuple(
            tuple(map(Span, ops, starts, ends))
            for ops, starts, ends in zip(self.schedule.ops, self.starts, self.ends, strict=True)
        )

    @cached_property
    def makespan(self) -> Number:
        return max((ends[-1] for ends in self.ends if ends), default=0)

    @cached_property
    def busy(self) -> tuple[Number, ...]:
        """Time each rank computes."""
        return tuple(
            sum(ends) - sum(starts) for starts, ends in zip(self.starts, self.ends, strict=True)
        )

    @property
    def idle(self) -> tuple[Number, ...]:
        """Makespan minus busy time, per rank: the bubble, and waiting for messages."""
        return tuple(self.makespan - busy for busy in self.busy)

    @property
    def idle_split(self) -> tuple[Idle, ...]:
        """Where each rank's idle time lies."""
        return tuple(
            Idle(starts[0], ends[-1] - starts[0] - busy, self.makespan - ends[-1])
            if ends
            else Idle(self.makespan, 0, 0)
            for starts, ends, busy in zip(self.starts, self.ends, self.busy, strict=True)
        )
