"""What the planner says about more than one plan: rankings, sensitivity, profiles of a pair, published speed-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.schedule import KINDS, InputError, build
from dualpipe_ref.simulate.cluster import overlapped
from dualpipe_ref.simulate.cluster.books import mean
from dualpipe_ref.simulate.cluster.constants import CONSTANTS
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.profile import published
from dualpipe_ref.simulate.cluster.published import ZeroBubble
from dualpipe_ref.simulate.cluster.stage import OpParts, pair_bound
from dualpipe_ref.simulate.cluster.stage import overlapped as pair_of
from dualpipe_ref.simulate.cluster.step import Step, evaluate, misfit
from dualpipe_ref.simulate.cluster.transport import TRANSPORTS
from dualpipe_ref.simulate.costs import Costs, Network
from dualpipe_ref.simulate.engine import simulate

SCHEDULES = (*KINDS, overlapped.NAME)
FACTORS = (0.75, 0.9, 1.1, 1.25)
LINKS = ("hbm", "nvlink", "rdma")


class Choice(NamedTuple):
    """One of several plans: its step, and why it cannot be taken.

    A plan that does not fit in memory has a step all the same; one that breaks another rule has none.
    """

    plan: Plan
    step: Step | None
    why: str = ""


def rank(plans: Iterable[Plan]) -> list[Choice]:
    """The fastest first, by tokens a GPU and second; those that break a rule last, with the reason."""
    found = [_choice(plan) for plan in plans]
    return sorted(found, key=lambda one: (bool(one.why), -_speed(one)))


def _speed(choice: Choice) -> float:
    return choice.step.tokens_per_second if choice.step else 0


def _choice(plan: Plan) -> Choice:
    try:
        step = evaluate(plan, memory=False)
    except InputError as error:
        return Choice(plan, None, str(error))
    wrong = misfit(step, mend=False)
    return Choice(plan, step, str(wrong) if wrong else "")


class Difference(NamedTuple):
    """A row of the ledger, and by how many nanoseconds it is shorter in one step than in another."""

    label: str
    saved: Fraction


def differences(one: Step, other: Step) -> list[Difference]:
    """Where `one` is shorter than `other`, the largest saving first; they add up to the difference of the two steps.

    >>> pair, plain = evaluate(Plan()), evaluate(replace(Plan(), schedule="1f1b"))
    >>> found = differences(pair, plain)
    >>> found[0].label, sum(row.saved for row in found) == plain.nanoseconds - pair.nanoseconds
    ('exposed all-to-all', True)
    """
    ours, theirs = mean(one).rows, mean(other).rows
    rows = [Difference(label, theirs[label] - ours[label]) for label in ours]
    return sorted(rows, key=lambda row: -row.saved)


def schedules_of(plan: Plan) -> list[Plan]:
    """The same with every schedule; where a schedule has other stages a rank, layers are shared out anew."""
    return [
        replace(plan, schedule=kind, chunks=plan.chunks if kind == plan.schedule else None)
        for kind in SCHEDULES
    ]


def sms_of(plan: Plan, counts: Sequence[int] = (2, 4, 6, 8, 12, 16, 20, 24, 32)) -> list[Plan]:
    """The same with so many SMs reserved."""
    return [replace(plan, sms=count) for count in counts]


def transports_of(plan: Plan) -> list[Plan]:
    """The same with every transport, each with the SMs that it asks for."""
    return [replace(plan, transport=one, sms=None) for one in TRANSPORTS.values()]


class Ranking(NamedTuple):
    """A kind of ranking: the plans that it compares, and what it calls each."""

    plans: Callable[[Plan], list[Plan]]
    name: Callable[[Plan], str]


RANKINGS = {
    "schedules": Ranking(schedules_of, lambda plan: plan.schedule),
    "transports": Ranking(transports_of, lambda plan: plan.transport.name),
    "sms": Ranking(sms_of, lambda plan: f"{plan.sms} SMs"),
}


class Sensitivity(NamedTuple):
    """How GPU hours change with one constant: hours for each of `FACTORS`."""

    name: str
    hours: tuple[float, ...]


def sensitivity(plan: Plan, factors: Sequence[float] = FACTORS) -> Iterator[Sensitivity]:
    """Of every constant, and of the device's memory and links; each stage keeps its layers."""
    plan = replace(plan, split=Layout(plan).split)
    for constant in CONSTANTS:
        changed = [
            replace(plan, kernels=plan.kernels.scaled(constant.name, factor)) for factor in factors
        ]
        yield Sensitivity(constant.name, _hours(changed))
    for name in LINKS:
        devices = [
            replace(plan.device, **{name: getattr(plan.device, name) * factor})
            for factor in factors
        ]
        yield Sensitivity(name, _hours([replace(plan, device=device) for device in devices]))


def _hours(plans: Iterable[Plan]) -> tuple[float, ...]:
    return tuple(evaluate(plan, memory=False).hours_per_trillion for plan in plans)


class PairProfile(NamedTuple):
    """An overlapped pair of mixture-of-experts layers, in nanoseconds, as a profiler would show it."""

    layers: int
    parts: OpParts
    bound: int
    dispatch: int
    combine: int

    @property
    def computing(self) -> int:
        return self.parts.length - self.parts.exposed

    @property
    def communicating(self) -> int:
        return self.parts.hidden + self.parts.exposed

    @property
    def ratio(self) -> float:
        """Communication over computation."""
        return self.communicating / self.computing

    @property
    def exposed(self) -> float:
        """The share of communication with nothing beside it."""
        return self.parts.exposed / self.communicating if self.communicating else 0.0


def pair_profile(plan: Plan, layers: int = 4) -> PairProfile:
    """Of so many layers with experts.

    >>> profile = pair_profile(Plan())
    >>> profile.parts.exposed == 0, profile.parts.length >= profile.bound
    (True, True)
    """
    layout = Layout(plan)
    chunk = [layout.layer(False, True)] * layers
    exchange = plan.exchange
    return PairProfile(
        layers,
        pair_of(chunk, chunk, layout.slower),
        pair_bound(chunk, chunk, layout.slower),
        exchange.dispatch(beside=True) if exchange else 0,
        exchange.combine(beside=True) if exchange else 0,
    )


def as_in_trace(plan: Plan, *, everywhere: bool = False) -> Plan:
    """The plan with computation so much longer that a pair lasts as long as in DeepSeek's own trace.

    That trace is of kernels, not of a training run: nothing is fitted to a step or to GPU hours. It does not say whether the
    all-to-alls slow computation down, then this holds in pairs alone, or whether kernels are slower than their tables
    `everywhere`.

    >>> round(as_in_trace(Plan()).kernels["computation_beside"], 3)
    1.128
    """
    told = published()
    factor = told["wall_ms"] * 1e6 / pair_profile(plan, told["layers"]).parts.length
    name = "computation" if everywhere else "computation_beside"
    return replace(plan, kernels=plan.kernels.changed(**{name: factor}))


class BubbleRates(NamedTuple):
    """Bubble rates of 1F1B and ZB-H1, simulated."""

    one_f_one_b: float
    zb_h1: float

    @property
    def speedup(self) -> float:
        """Of ZB-H1 over 1F1B."""
        return (1 - self.zb_h1) / (1 - self.one_f_one_b)


def zero_bubble(row: ZeroBubble, microbatches: int) -> BubbleRates:
    """From the paper's profiled times alone; messages take the time that it gives for them."""
    forward, back, weights, message = row.times
    costs, work = Costs(F=forward, I=back, W=weights), forward + back + weights
    rates = []
    for kind in ("1f1b", "zb-h1"):
        schedule = build(kind, row.ranks, microbatches)
        makespan = float(simulate(schedule, costs, Network(latency=message)).makespan)
        rates.append(1 - microbatches * work / makespan)
    return BubbleRates(*rates)
