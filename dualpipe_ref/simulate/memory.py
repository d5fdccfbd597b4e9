"""What each rank holds as a run goes on. Its peaks depend on the order alone: see `schedule.occupancy`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Op
from dualpipe_ref.schedule.occupancy import Held, Peaks, occupancy, peaks
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.timeline import Timeline

__all__ = ["Level", "Peaks", "over_time", "peaks"]


class Level(NamedTuple):
    """What a rank holds from `time` until the next level, in chunks (one micro-batch in one stage).

    `activations`: forward begun, input gradient not finished. `held`: the same until W is finished.
    `pending_weights`: input gradient finished, W not.
    """

    time: Number
    activations: int
    held: int
    pending_weights: int


def over_time(timeline: Timeline) -> list[list[Level]]:
    """What each rank holds as it runs: its levels in order of time, the first of them at 0, by rank.

    Times are in the timeline's unit. A chunk is taken when its forward starts and given back when
    the last op that reads it ends. Where one op ends and the next one starts at the same moment
    there is one level, the one after both.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> for level in over_time(simulate(build("zb-h1", ranks=2, microbatches=1)))[1]:
    ...     print(*level)
    0 0 0 0
    1 1 1 0
    3 0 1 1
    4 0 0 0
    """
    ranks = zip(timeline.schedule.ops, timeline.starts, timeline.ends, strict=True)
    return [_levels(list(_changes(*rank))) for rank in ranks]


def _changes(
    ops: tuple[Op, ...], starts: tuple[Number, ...], ends: tuple[Number, ...]
) -> Iterator[tuple[Number, Held]]:
    yield 0, Held(0, 0)
    for (during, after), start, end in zip(occupancy(ops), starts, ends, strict=True):
        yield start, during
        yield end, after


def _levels(changes: list[tuple[Number, Held]]) -> list[Level]:
    """The last change of each moment, where it changes something."""
    levels: list[Level] = []
    last = dict(changes)
    for time, held in last.items():
        level = Level(time, held.activations, held.held, held.pending_weights)
        if not levels or level[1:] != levels[-1][1:]:
            levels.append(level)
    return levels
