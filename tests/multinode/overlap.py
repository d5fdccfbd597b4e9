"""How much of the all-to-all a pair of chunks hides, in wall-clock time: measured, bounded, and the step predicted.

`python -m tests.multinode.overlap [MICROBATCHES REPEATS]` measures, prints the table and writes book/results/overlap.json.

Two ranks, each with a core of its own and the link between them, share the experts of a model in two stages. Of the
pairs of forward and backward between the first and the last of a step, the middle value counts:

    exposed = (together - compute alone) / exchanges alone

Compute alone is the same step with all that its exchanges brought at hand; see `movers`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import mean, median
from typing import Any

from dualpipe_ref import Costs, simulate
from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.schedule import Op, OpKind
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Part, Piece, published_order, run_pair
from tests.multinode.launching import run_nodes
from tests.multinode.namespaces import two_nodes, why_not
from tests.multinode.one_rank import LAYERS, STAGES, one_rank

WORKER = "tests.multinode.worker_overlap"
CORES = sorted(os.sched_getaffinity(0))
TIER = "CPU, two network namespaces"
ALONE, EXCHANGES = "compute alone", "exchanges alone"
# The two of one comparison stand next to each other: what else runs on the machine changes from minute to minute.
RUNS = ("overlap", f"overlap, {ALONE}", EXCHANGES, f"no overlap, {ALONE}", "no overlap")
PIECES = LAYERS // STAGES
SLOWEST, FASTEST = 100, 200  # Mbit/s
FITTING = (
    0.9  # about one to one; with more than that the link alone would last longer than the compute
)
MICROBATCHES, REPEATS = 8, 3
POINTS = 0.05  # that the exposed share may lie above the bound
Records = Sequence[dict[str, Any]]


def measure(
    rate_mbit: float | None, microbatches: int, repeats: int, runs: Sequence[str] = RUNS
) -> Found:
    """Launch the worker on both nodes. Raises `RuntimeError` where one fails, or losses or gradients differ."""
    with two_nodes(rate_mbit) as nodes:
        ended = run_nodes(
            nodes,
            WORKER,
            microbatches,
            repeats,
            *runs,
            cores=[[CORES[0]], [CORES[-1]]],
            seconds=1200,
        )
    for rank, one in enumerate(ended):
        if one.status != 0:
            raise RuntimeError(f"rank {rank}, status {one.status}: {one.errors[-6000:]}")
    return Found(rate_mbit or 0, [Rank(microbatches, one.records()) for one in ended])


def fitting_rate() -> float:
    """The rate at which the exchanges of a pair take FITTING of its compute, if the range has it."""
    found = measure(None, 3, 2, [f"overlap, {ALONE}"])
    seconds = found.over_ranks(lambda rank: rank.pair(f"overlap, {ALONE}"))
    wanted = 8 * found.ranks[0].bytes_of_pair / (FITTING * seconds) / 1e6
    return round(min(max(wanted, SLOWEST), FASTEST))


class Rank:
    """What one rank printed. All times in seconds."""

    def __init__(self, microbatches: int, records: Records) -> None:
        self.schedule = one_rank(microbatches)
        self.ops = self.schedule.ops[0]
        self.sizes, *self.records = records
        pairs = [number for number, op in enumerate(self.ops) if op.kind is OpKind.FB]
        self.steady = pairs[1:-1]

    def runs(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.records if one["run"] == name]

    def seconds(self, run: dict[str, Any], number: int) -> float:
        """What an op took."""
        if "exchanges" in run:
            return sum(run["exchanges"][number])
        start, end = run["ops"][number]
        return float(end - start)

    def pairs(self, name: str) -> list[float]:
        """A steady pair of each run of this name."""
        return [
            median(self.seconds(run, number) for number in self.steady) for run in self.runs(name)
        ]

    def pair(self, name: str) -> float:
        return median(self.pairs(name))

    def step(self, name: str) -> float:
        return median(run["ops"][-1][1] for run in self.runs(name))

    def exposed(self, name: str, alone: str) -> float:
        """The share of the exchanges by which the pair lasts longer than its compute; each run beside its neighbour."""
        differences = [
            together - compute
            for together, compute in zip(self.pairs(name), self.pairs(alone), strict=True)
        ]
        return median(differences) / self.pair(EXCHANGES)

    def core(self, name: str) -> float:
        """The part of the time that this rank had its core; what waits for nothing has all of it on a quiet machine."""
        return median(run["core"] for run in self.runs(name))

    @property
    def bytes_of_pair(self) -> float:
        return median(self.sizes["bytes"][number] for number in self.steady)

    def of_ops(self, alike: Op, name: str) -> float:
        """The middle of what ops of one kind and the same stages took, such as this one."""
        wanted = _likeness(alike)
        numbers = [number for number, op in enumerate(self.ops) if _likeness(op) == wanted]
        return median(self.seconds(run, number) for run in self.runs(name) for number in numbers)

    @cached_property
    def lane_costs(self) -> LaneCosts:
        """Each part: compute as in the run without a network, exchanges as in the run of nothing else.

        What packs an exchange or adds up what came counts as the computation that it stands beside.
        """
        order, taken = published_order(PIECES), {}
        for lane, seconds in ((Lane.COMPUTE, self._computed()), (Lane.NETWORK, self._exchanged())):
            for piece, values in zip(order[lane], zip(*seconds, strict=True), strict=True):
                taken.setdefault(_field(piece), []).append(median(values))
        return LaneCosts(**{name: mean(values) for name, values in taken.items()})

    def _computed(self) -> list[list[float]]:
        """Of each steady pair, the seconds from one computation to the next."""
        pairs = [pair for run in self.runs(f"overlap, {ALONE}") for pair in run["pieces"][1:-1]]
        return [[end - start for start, end in pairwise(pair)] for pair in pairs]

    def _exchanged(self) -> list[list[float]]:
        return [run["exchanges"][number] for run in self.runs(EXCHANGES) for number in self.steady]

    @property
    def bound(self) -> float:
        """No order of these parts exposes a smaller share."""
        pair = run_pair(published_order(PIECES), self.lane_costs)
        least = lower_bound(PIECES, self.lane_costs) - pair.busy(Lane.COMPUTE)
        return float(least / pair.busy(Lane.NETWORK))

    def predicted_step(self) -> float:
        """The simulator's: outside of pairs every exchange is waited for, inside the lanes say how long it takes."""
        pair = run_pair(published_order(PIECES), self.lane_costs)
        # Embedding, loss and their backward stand outside of the lanes.
        pair_seconds = self.pair(f"overlap, {ALONE}") + pair.length - pair.busy(Lane.COMPUTE)
        costs = {name: self._by_stage(OpKind(name)) for name in ("F", "B", "I", "W")}
        return float(simulate(self.schedule, Costs(**costs, FB=float(pair_seconds))).makespan)

    def _by_stage(self, kind: OpKind) -> tuple[float, ...]:
        """Seconds on each stage; a stage without such an op is given the other's, which nobody asks for."""
        found = {
            (op.forward or op.backward).slot: self.of_ops(op, f"overlap, {ALONE}")
            + self.of_ops(op, EXCHANGES)
            for op in self.ops
            if op.kind is kind
        }
        some = next(iter(found.values()), 1.0)
        return tuple(found.get(stage, some) for stage in range(STAGES))


def _likeness(op: Op) -> tuple[object, ...]:
    return op.kind, op.forward and op.forward.slot, op.backward and op.backward.slot


def _field(piece: Piece) -> str:
    """The name that `LaneCosts` has for the duration of a piece."""
    name = piece.part.lower()
    if piece.kind is OpKind.F:
        return name
    if piece.part in (Part.DISPATCH, Part.COMBINE):
        return f"{name}_back"
    return f"{name}_{'input' if piece.kind is OpKind.I else 'weight'}"


@dataclass(frozen=True)
class Found:
    """What both ranks found at one rate; means over the ranks."""

    rate_mbit: float
    ranks: Sequence[Rank]

    def over_ranks(self, of: Any) -> float:
        return mean(of(rank) for rank in self.ranks)

    def exposed(self, name: str) -> float:
        alone = f"{'no overlap' if name == 'no overlap' else 'overlap'}, {ALONE}"
        return self.over_ranks(lambda rank: rank.exposed(name, alone))

    @property
    def bound(self) -> float:
        return self.over_ranks(lambda rank: rank.bound)

    @property
    def off_prediction(self) -> float:
        """By which part the step with overlap differs from the simulator's."""
        predicted = self.over_ranks(Rank.predicted_step)
        return self.over_ranks(lambda rank: rank.step("overlap")) / predicted - 1

    @property
    def is_hidden(self) -> bool:
        """The check: within pairs the overlap hides all but the bound and a margin."""
        return self.exposed("overlap") <= self.bound + POINTS

    @property
    def core(self) -> float:
        """Of what waits for nothing, the part of the time in which other work left it the core."""
        return self.over_ranks(lambda rank: rank.core(f"overlap, {ALONE}"))

    @property
    def why(self) -> str:
        """What disturbs the times on this machine, as far as it was measured."""
        return (
            f"other work took {1 - self.core:.1%} of the cores during compute alone; what holds one rank up,"
            " the other waits for at each of the pair's eight exchanges"
        )

    def rows(self) -> list[Row]:
        """The table."""
        return [*self._setting(), *self._seconds(), *self._shares(), *self._steps()]

    def _setting(self) -> Iterable[Row]:
        yield Row("rate of the link, each direction", self.rate_mbit, "Mbit/s")
        yield Row("largest message of an exchange", self.ranks[0].sizes["largest"] / 2**20, "MiB")
        yield Row("a pair sends, each direction", self.ranks[0].bytes_of_pair / 2**20, "MiB")

    def _seconds(self) -> Iterable[Row]:
        for name in RUNS:
            seconds = self.over_ranks(lambda rank, name=name: rank.pair(name))
            yield Row(f"a steady pair: {name}", 1000 * seconds, "ms")
        ratio = self.over_ranks(lambda rank: rank.pair(EXCHANGES) / rank.pair(f"overlap, {ALONE}"))
        yield Row("exchanges alone / compute alone", ratio, "ratio")
        yield Row("compute alone had its core", self.core, "of the time")

    def _shares(self) -> Iterable[Row]:
        limit = f"<= {self.bound + POINTS:.3g}"
        yield Row("exposed in no order less than", self.bound, "of the exchanges")
        yield Row(
            "exposed with overlap", self.exposed("overlap"), "of the exchanges", limit, self.why
        )
        yield Row("exposed without", self.exposed("no overlap"), "of the exchanges", ">= 0.8")

    def _steps(self) -> Iterable[Row]:
        for name in ("overlap", "no overlap"):
            seconds = self.over_ranks(lambda rank, name=name: rank.step(name))
            yield Row(f"the step: {name}", seconds, "s")
        yield Row("the step with overlap, predicted", self.over_ranks(Rank.predicted_step), "s")
        yield Row(
            "the step is off the prediction by",
            abs(self.off_prediction),
            "ratio",
            "<= 0.05",
            self.why,
        )


def main() -> int:
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    microbatches, repeats = map(int, sys.argv[1:3] or (MICROBATCHES, REPEATS))
    found = measure(fitting_rate(), microbatches, repeats)
    rows = found.rows()
    print(as_text(rows))
    named = [row._replace(bench=f"overlap.{row.bench}") for row in rows]
    print(record("overlap", TIER, named, ["torch"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
