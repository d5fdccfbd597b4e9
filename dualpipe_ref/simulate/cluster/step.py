"""One training step of a plan: simulated exactly where ranks differ, and once for all that are alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.memory import peaks_of
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.rules import check, smaller
from dualpipe_ref.simulate.cluster.stage import StageTimes
from dualpipe_ref.simulate.cluster.update import Update, updates
from dualpipe_ref.simulate.cluster.work import model_operations
from dualpipe_ref.simulate.costs import Network
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.footprint import Level
from dualpipe_ref.simulate.timeline import Timeline

NS = 10**9
Scales = tuple[float, ...] | None


class Group(NamedTuple):
    """Pipelines that run in lockstep, since they exchange tokens, and how many of them are exactly alike."""

    scales: Scales
    alike: int


@dataclass(frozen=True)
class Step:
    """What a plan's step takes; made by `evaluate`. Times in whole nanoseconds."""

    plan: Plan
    layout: Layout
    times: StageTimes
    groups: tuple[Group, ...]
    timelines: dict[Scales, Timeline]
    free: dict[Scales, Timeline]  # the same with messages that take no time
    updates: tuple[Update, ...]
    peaks: tuple[Level, ...]

    @cached_property
    def makespan(self) -> int:
        """Until the last pipeline has done its last micro-batch."""
        return max(int(one.makespan) for one in self.timelines.values())

    @cached_property
    def update(self) -> int:
        """The longest of summing gradients, the optimizer, and gathering parameters."""
        return max(one.length for one in self.updates)

    @property
    def nanoseconds(self) -> int:
        """Of the whole step."""
        return self.makespan + self.update

    @property
    def seconds(self) -> float:
        return self.nanoseconds / NS

    @property
    def tokens_per_second(self) -> float:
        """Of one GPU."""
        return self.plan.tokens / self.seconds / self.plan.gpus

    @property
    def hours_per_trillion(self) -> float:
        """GPU hours for 10**12 tokens."""
        return 1e12 / self.tokens_per_second / 3600

    @property
    def model_tflops(self) -> float:
        """TFLOP/s of one GPU that the model itself needs."""
        return self.tokens_per_second * model_operations(self.plan.shape, self.plan.length) / 1e12

    @property
    def utilisation(self) -> float:
        """Model FLOP utilisation: of the peak in bf16, also for a run in fp8."""
        return self.model_tflops / self.plan.device.bf16

    @property
    def worst_rank(self) -> int:
        """The rank that needs most memory."""
        totals = [peak.total for peak in self.peaks]
        return totals.index(max(totals))


def groups_of(plan: Plan) -> tuple[Group, ...]:
    """Which pipelines run alike. GPU number = ((group x pipeline) + rank) x side + member.

    In a group, `side` GPUs at each rank wait for each other in every layer, so the slowest one sets their pace.
    """
    side = max(plan.tensor, plan.expert_ranks)
    slowest: dict[tuple[int, int], float] = {}
    for gpu, factor in plan.slow.items():
        group, rank = divmod(gpu // side, plan.pipeline)
        slowest[group, rank] = max(factor, slowest.get((group, rank), 1))
    found: Counter[Scales] = Counter()
    touched = {group for group, _ in slowest}
    for group in touched:
        found[tuple(slowest.get((group, rank), 1) for rank in range(plan.pipeline))] += 1
    alike = plan.gpus // (plan.pipeline * side) - len(touched)
    if alike:
        found[None] += alike
    return tuple(Group(scales, count) for scales, count in found.items())


def evaluate(plan: Plan, *, memory: bool = True) -> Step:
    """Simulate one step. Raises `InputError` where a rule of `rules.check` is broken, or where the plan does not fit in memory.

    >>> step = evaluate(Plan())
    >>> step.nanoseconds == step.makespan + step.update
    True
    """
    check(plan)
    layout = Layout(plan)
    times = layout.times()
    network = Network(latency=max(1, message_time(plan)))
    groups = groups_of(plan)
    timelines, free = {}, {}
    for scales, _ in groups:
        costs = times.op_times(plan.order, scales)
        timelines[scales] = simulate(plan.order, costs, network)
        free[scales] = simulate(plan.order, costs)
    peaks = peaks_of(layout, next(iter(timelines.values())))
    step = Step(plan, layout, times, groups, timelines, free, updates(layout), peaks)
    if memory and (error := misfit(step)):
        raise error
    return step


def message_time(plan: Plan) -> int:
    """Nanoseconds of an activation from stage to stage: bf16 over RDMA, each tensor-parallel rank its part."""
    count = plan.micro * plan.length * plan.shape.hidden * 2 / plan.tensor
    return round(count / (plan.device.rdma * plan.kernels["rdma_share"]))


def misfit(step: Step, *, mend: bool = True) -> InputError | None:
    """What is wrong with a step that does not fit in memory; None where it does.

    With `mend` the nearest smaller plan that fits is looked for, which may take seconds.

    >>> misfit(evaluate(Plan())) is None
    True
    """
    plan, need = step.plan, step.peaks[step.worst_rank].total
    room = plan.device.bytes
    if need <= room:
        return None
    nearest = next((one for one in smaller(plan) if fits(one)), None) if mend else None
    return InputError(
        f"what a rank holds at its peak fits the {room / NS:.1f} GB of {plan.device.name}",
        f"{need / NS:.1f} GB on rank {step.worst_rank}, {(need - room) / NS:.1f} GB too many",
        None if nearest is None else _changes(plan, nearest),
    )


def fits(plan: Plan) -> bool:
    """Whether a legal plan fits in memory: peaks depend on the order alone, so no times are needed."""
    timeline = simulate(plan.order)
    return max(peak.total for peak in peaks_of(Layout(plan), timeline)) <= plan.device.bytes


def _changes(plan: Plan, other: Plan) -> str:
    names = ("policy", "pipeline", "tensor", "expert_ranks")
    changed = [name for name in names if getattr(plan, name) != getattr(other, name)]
    return ", ".join(f"{name} = {getattr(other, name)}" for name in changed)
