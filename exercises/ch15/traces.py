"""Traces with and without a slow rank: simulated runs whose ops take what stages, ranks and disturbances make of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.plot.highlight import Highlight
from dualpipe_ref.schedule import KINDS, Schedule, build
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate
from dualpipe_ref.simulate.costs import Number

SIZES = (2, 4, 8)  # ranks, with twice as many micro-batches
FACTORS = (Fraction(5, 4), Fraction(2))
SPREAD = 3  # percent by which an op differs from another of its kind
HICCUP = 12  # times as long as usual


@dataclass(frozen=True)
class Disturbed(Costs):
    """No two ops take the same time, and one op of `hiccup_rank` takes very long."""

    seed: int = 0
    hiccup_rank: int = 0

    def durations(self, schedule: Schedule, rank: int) -> list[Number]:
        """Time of each op of `rank`, in order."""
        draw = random.Random(1000 * self.seed + rank)
        times = [
            time * Fraction(100 + draw.randint(-SPREAD, SPREAD), 100)
            for time in super().durations(schedule, rank)
        ]
        if rank == self.hiccup_rank:
            times[draw.randrange(len(times))] *= HICCUP
        return times


@dataclass(frozen=True)
class Case:
    """A run, and the rank that is slow in it."""

    timeline: Timeline
    layers: tuple[int, ...]
    costs: Costs
    slow: int | None
    factor: Fraction = Fraction(1)

    @property
    def spans(self) -> list[tuple[Any, ...]]:
        """The trace as plain rows (rank, kind, stages, start, end), by start."""
        rows = []
        for rank, spans in enumerate(self.timeline.spans):
            stage = [stage for _, stage in self.timeline.schedule.placement.homes[rank]]
            for op, start, end in spans:
                chunks = [one for one in (op.forward, op.backward) if one]
                stages = tuple(stage[chunk.slot] for chunk in chunks)
                rows.append((rank, str(op.kind), stages, start, end))
        return sorted(rows, key=lambda row: (row[3], row[0]))

    def __str__(self) -> str:
        schedule = self.timeline.schedule
        same = len(set(self.layers)) == 1
        sizes = "equal stages" if same else f"layers {list(self.layers)}"
        return f"P = {schedule.ranks}, m = {schedule.microbatches}, {schedule.kind}, {sizes}"

    def shown(self, what: str) -> Counterexample:
        """The run with the first op of each kind of the slow rank marked."""
        ops = self.timeline.schedule.ops[self.slow] if self.slow is not None else ()
        first: dict[str, int] = {}
        for place, op in enumerate(ops):
            first.setdefault(op.kind, place)
        marked = Highlight(tuple((self.slow or 0, place) for place in first.values()))
        return Counterexample(self.timeline, marked, f"{self}: {what}", self.costs)


def cases(*, slow: bool, unequal: bool, disturbed: bool = False) -> Iterator[Case]:
    """Every schedule and size, smallest first, with each of some ranks slow in turn, or with none."""
    for ranks in SIZES:
        for number, kind in enumerate(KINDS):
            schedule = build(kind, ranks, 2 * ranks)
            for rank in sorted({0, ranks // 2 - 1, ranks - 1}) if slow else (None,):
                seed = (1 + number + 10 * ranks + (rank or 0)) if disturbed else 0
                yield _case(schedule, rank, FACTORS[number % 2], unequal=unequal, seed=seed)


def _case(
    schedule: Schedule, slow: int | None, factor: Fraction, *, unequal: bool, seed: int
) -> Case:
    stages, ranks = schedule.placement.stages, schedule.ranks
    layers = tuple((1, 3, 2)[stage % 3] if unequal else 2 for stage in range(stages))
    kinds: dict[str, Any] = {
        kind: tuple(time * number for number in layers)
        for kind, time in {"F": 2, "I": 3, "W": 1, "B": 4, "FB": 5}.items()
    }
    scale = tuple(factor if rank == slow else Fraction(1) for rank in range(ranks))
    if seed:
        others = [rank for rank in range(ranks) if rank != slow]
        kinds |= {"seed": seed, "hiccup_rank": others[seed % len(others)]}
    costs = (Disturbed if seed else Costs)(**kinds, rank_scale=scale)
    timeline = simulate(schedule, costs, Network(latency=Fraction(1, 2)))
    return Case(timeline, layers, costs, slow, factor if slow is not None else Fraction(1))
