"""Costs and latency from timelines, and the makespan that they predict for other steps of the same run."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any, NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind, Schedule
from dualpipe_ref.simulate.costs import Costs, Network, Number, OpTimes
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.least_squares import smallest_least_squares
from dualpipe_ref.simulate.timeline import Timeline, Transfer

DRAWS, FEWEST, DRAWN_OPS = 101, 11, 200_000  # simulations of a step whose ops vary, and ops in all
WARM = 5  # with so many steps the first one is left out: it loads, compiles and fills caches


class Fit(NamedTuple):
    """What ops and messages cost: one number a stage for each of `kinds`, the kinds that the schedule runs.

    `spread` has, for each kind, how many times its cost each op took that was seen.
    """

    costs: Costs
    latency: Number
    kinds: tuple[OpKind, ...]
    spread: Mapping[OpKind, tuple[Number, ...]]


class _Work(NamedTuple):
    """One op's time: from when its rank was free and its messages were there to its end."""

    kind: OpKind
    forward_stage: int
    backward_stage: int
    time: Number


def fit(timelines: Sequence[Timeline]) -> Fit:
    """The costs a stage and the latency that these steps of one schedule show.

    An op's time includes what its rank did between two ops (issuing messages). A stage's is the mean over its ops; FB, of which each of two stages contributes half, by least squares, and where only
    their sum shows, shared alike. The latency is the median over messages that were sent when their receiver was free
    already (else the shortest of all): others may have been there long before anybody looked. Exact for the times of
    an exact simulation without bandwidth and scales of ranks, and with a cost of FB of its own.

    >>> from dualpipe_ref.schedule import build
    >>> schedule = build("1f1b", 2, 4)
    >>> found = fit([simulate(schedule, Costs(F=(1, 2), I=2, W=1), Network(latency=1))])
    >>> [str(one) for one in found.costs.F], str(found.costs.of("B")), str(found.latency)
    (['1', '2'], '3', '1')
    """
    if not timelines:
        raise InputError("a fit takes one timeline or more", "none")
    latency = _latency(timelines)
    works = [work for timeline in timelines for work in _works(timeline, latency)]
    kinds = tuple(kind for kind in OpKind if any(work.kind is kind for work in works))
    stages = timelines[0].schedule.placement.stages
    values: dict[str, Any] = {
        kind: (_contributions if kind is OpKind.FB else _means)(
            [work for work in works if work.kind is kind], stages
        )
        for kind in kinds
    }
    costs = Costs(**values)
    spread = {
        kind: tuple(_times_its_cost(work, costs) for work in works if work.kind is kind)
        for kind in kinds
    }
    return Fit(costs, latency, kinds, spread)


def _times_its_cost(work: _Work, costs: Costs) -> Number:
    cost = costs.of(work.kind, work.forward_stage, work.backward_stage)
    if isinstance(work.time, float) or isinstance(cost, float):
        return work.time / cost
    return Fraction(work.time) / Fraction(cost)


def _median(values: list[Number]) -> Number:
    """As `statistics.median`, and exact where the values are."""
    if any(isinstance(value, float) for value in values):
        return median(map(float, values))
    return median([Fraction(value) for value in values])


def _arrivals(timeline: Timeline) -> dict[int, Transfer]:
    index = timeline.schedule.numbering.message_index
    return {index(one.message): one for one in timeline.transfers}


def _latency(timelines: Sequence[Timeline]) -> Number:
    waited, every = [], []
    for timeline in timelines:
        arrivals = _arrivals(timeline)
        for rank, ops in enumerate(timeline.schedule.flat_ops):
            free: Number = 0
            for flat, end in zip(ops, timeline.ends[rank], strict=True):
                for transfer in map(arrivals.__getitem__, flat[3]):
                    way = transfer.end - transfer.sent
                    every.append(way)
                    if transfer.sent >= free:
                        waited.append(way)
                free = end
    return _median(waited) if waited else min(every, default=0)


def _works(timeline: Timeline, latency: Number) -> Iterator[_Work]:
    schedule, arrivals = timeline.schedule, _arrivals(timeline)
    for rank, ops in enumerate(schedule.ops):
        free = timeline.starts[rank][0] if ops else 0
        stage = [stage for _, stage in schedule.placement.homes[rank]]
        for op, flat, end in zip(ops, schedule.flat_ops[rank], timeline.ends[rank], strict=True):
            transfers = map(arrivals.__getitem__, flat[3])
            # One that left early enough was there, whenever it was looked at.
            began = max([free, *(one.end for one in transfers if one.sent + latency > free)])
            yield _Work(
                op.kind,
                stage[op.forward.slot] if op.forward else 0,
                stage[op.backward.slot] if op.backward else 0,
                end - began,
            )
            free = end


def _means(works: Sequence[_Work], stages: int) -> tuple[Number, ...]:
    """The mean of each stage's ops; a stage without one (of an odd schedule) gets the mean of all."""
    times: dict[int, list[Number]] = defaultdict(list)
    for work in works:
        times[work.forward_stage if work.kind is OpKind.F else work.backward_stage].append(
            work.time
        )
    every = [work.time for work in works]
    return tuple(_mean(times.get(stage, every)) for stage in range(stages))


def _mean(values: Sequence[Number]) -> Number:
    total = sum(values)
    return total / len(values) if isinstance(total, float) else Fraction(total) / len(values)


def _contributions(works: Sequence[_Work], stages: int) -> tuple[Number, ...]:
    pairs = [(work.forward_stage, work.backward_stage) for work in works]
    found = smallest_least_squares(pairs, [Fraction(work.time) * 2 for work in works], stages)
    known = [value for value in found if value is not None]
    values = [_mean(known) if value is None else value for value in found]
    exact = not any(isinstance(work.time, float) for work in works)
    return tuple(values if exact else map(float, values))


@dataclass(frozen=True)
class Comparison:
    """A run against the simulator: costs from one half of its steps, makespan and idle time of the other half.

    `draws` are simulations in which each op takes its cost times what some op of its kind has shown in the first half:
    a rank waits for the slower of two at each message, so a step whose ops vary is longer than `steady`, in which each
    takes its cost.
    """

    schedule: Schedule
    fit: Fit
    steady: Timeline
    draws: Sequence[Timeline]
    held_out: Sequence[Timeline]
    left_out: int

    @property
    def predicted(self) -> Number:
        """Median makespan of the draws."""
        return _median([one.makespan for one in self.draws])

    @property
    def measured(self) -> Number:
        """Median makespan of the held-out steps."""
        return _median([one.makespan for one in self.held_out])

    @property
    def difference(self) -> float:
        """How much longer than measured the prediction is, as a share of the measured makespan."""
        return float(self.predicted / self.measured - 1)

    @property
    def typical(self) -> Timeline:
        """A draw of median makespan."""
        return _by_makespan(self.draws)[len(self.draws) // 2]

    @property
    def middle(self) -> Timeline:
        """A held-out step of median makespan."""
        return _by_makespan(self.held_out)[len(self.held_out) // 2]

    @property
    def idle(self) -> tuple[Number, ...]:
        """Median idle time of each rank in the held-out steps."""
        return _idle(self.held_out)

    @property
    def predicted_idle(self) -> tuple[Number, ...]:
        """Median idle time of each rank in the draws."""
        return _idle(self.draws)


def _idle(timelines: Sequence[Timeline]) -> tuple[Number, ...]:
    return tuple(map(_median, map(list, zip(*(one.idle for one in timelines), strict=True))))


def _by_makespan(timelines: Sequence[Timeline]) -> list[Timeline]:
    return sorted(timelines, key=lambda one: one.makespan)


def _middle(timelines: Sequence[Timeline]) -> list[Timeline]:
    """Without the longest and the shortest quarter."""
    edge = len(timelines) // 4
    return _by_makespan(timelines)[edge : len(timelines) - edge]


def compare(timelines: Sequence[Timeline]) -> Comparison:
    """Fit every other step, predict the rest. Of five steps or more the first is left out as a warm-up.

    Halves are taken in turns, so that a machine that gets slower does so in both. Of the first half those steps are
    fitted whose makespan is in the middle: its longest and shortest quarter tell of disturbances. Raises `InputError`
    for a single step.

    >>> from dualpipe_ref.schedule import build
    >>> step = simulate(build("dualpipe", 4, 8), Costs(FB=2.5), Network(latency=1))
    >>> compare([step, step]).difference
    0.0
    """
    left_out = 1 if len(timelines) >= WARM else 0
    kept = timelines[left_out:]
    if len(kept) < 2:
        raise InputError("a prediction needs a step to learn from and another", f"{len(kept)}", "2")
    found = fit(_middle(kept[::2]))
    schedule = kept[0].schedule
    steady = simulate(schedule, found.costs, Network(latency=found.latency))
    return Comparison(schedule, found, steady, draw(schedule, found), kept[1::2], left_out)


def draw(schedule: Schedule, found: Fit, seed: int = 0) -> tuple[Timeline, ...]:
    """Simulations in which ops vary, independently of each other, as those did that were fitted; the same each time."""
    generator = random.Random(seed)
    network = Network(latency=found.latency)
    count = max(FEWEST, min(DRAWS, DRAWN_OPS // sum(map(len, schedule.ops))))

    def times(rank: int) -> list[Number]:
        costs = found.costs.durations(schedule, rank)
        return [
            cost * generator.choice(found.spread[op.kind])
            for op, cost in zip(schedule.ops[rank], costs, strict=True)
        ]

    return tuple(
        simulate(schedule, OpTimes([times(rank) for rank in range(schedule.ranks)]), network)
        for _ in range(count)
    )
