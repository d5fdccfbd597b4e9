"""What SMs cost computation and bring communication: the numbers that the view of SMs and its figure show. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from dualpipe_ref.plot.controls import completed
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.cluster.constants import Kernels
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.reserved import (
    BreakEven,
    break_even,
    one_after_the_other,
    pair_on,
)
from dualpipe_ref.simulate.cluster.stage import OpParts

LAYERS = 4  # as in DeepSeek's own trace
MS = 1e6  # nanoseconds
DRAWN = 48  # SMs that curves have
ACROSS, ALONE = "SMs that communication has", "one after the other"
DEFAULTS: dict[str, Any] = {"sms": 20, "ratio": 0.91, "rdma": 50, "nvlink": 160, "knee": 8}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in DEFAULTS}
MOST = {"ratio": 10, "rdma": 10_000, "nvlink": 10_000, "knee": 131}


class OnSms(NamedTuple):
    """A pair with so many SMs reserved: its parts in nanoseconds, and the GB/s that they reach over each link."""

    sms: int
    parts: OpParts
    rdma: float
    nvlink: float

    @property
    def computing(self) -> int:
        """On the SMs that are left."""
        return self.parts.length - self.parts.exposed

    @property
    def communicating(self) -> int:
        return self.parts.exposed + self.parts.hidden


class Case:
    """A state, read: a plan, so many of its SMs, the two chunks `alone`, and what is worth it (`found`)."""

    def __init__(self, plan: Plan, sms: int) -> None:
        self.plan, self.sms = plan, sms
        self.alone = one_after_the_other(plan, LAYERS)
        self.of = plan.device.sms

    @cached_property
    def found(self) -> BreakEven:
        return break_even(self.plan, LAYERS)

    def on(self, sms: int) -> OnSms:
        """The pair with another number of SMs."""
        exchange = replace(self.plan, sms=sms).exchange
        assert exchange is not None  # a plan of this view has experts on 64 ranks
        links = exchange.links
        parts = pair_on(self.plan, sms, LAYERS)
        return OnSms(sms, parts, float(links.rdma), float(links.nvlink))


class Line(NamedTuple):
    """A curve: milliseconds `y` with so many SMs, `x`."""

    name: str
    x: list[int]
    y: list[float]


def curves_of(case: Case) -> list[Line]:
    """What a pair lasts with 1 SM, 2, ..., its computation, its communication."""
    counts = list(range(1, min(DRAWN, case.of - 1) + 1))
    on = [case.on(count) for count in counts]
    return [
        Line("the pair", counts, [one.parts.length / MS for one in on]),
        Line("its computation", counts, [one.computing / MS for one in on]),
        Line("its communication", counts, [one.communicating / MS for one in on]),
    ]


def highest_of(case: Case) -> float:
    """Milliseconds at the top of a picture: few SMs lead beyond it."""
    return 1.35 * case.alone.length / MS


@lru_cache(maxsize=1)
def usual_ratio() -> float:
    """Communication over computation of DeepSeek-V3 on H800s, each with all SMs, by the planner's tables.

    >>> round(usual_ratio(), 3)
    0.525
    """
    alone = one_after_the_other(Plan(), LAYERS)
    return alone.exposed / (alone.length - alone.exposed)


def case_of(state: Mapping[str, Any]) -> Case:
    """DeepSeek-V3 with the links, the ratio and the SMs of this state; `InputError` for one that is not there.

    `ratio` is that of communication to computation where each has all SMs and links have an H800's bandwidths: computation is
    made so much shorter or longer. `knee` SMs fill the network card.
    """
    given = completed(state, DEFAULTS)
    numbers = {name: _positive(name, given[name], most) for name, most in MOST.items()}
    base = Plan()
    sms = whole_number("sms", given["sms"], 1)
    if sms >= base.device.sms:
        most = base.device.sms - 1
        raise InputError("computation must keep an SM", f"sms = {sms}", f"sms = {most}")
    kernels = Kernels().changed(
        computation=usual_ratio() / numbers["ratio"], sms_of_full_rdma=numbers["knee"]
    )
    device = replace(base.device, rdma=numbers["rdma"], nvlink=numbers["nvlink"])
    return Case(replace(base, device=device, kernels=kernels), sms)


def _positive(name: str, value: object, most: int) -> float:
    found = float(exact_number(name, value))
    if not 0.01 <= found <= most:
        raise InputError(
            f"a live view has {name} from 0.01 to {most}",
            f"{name} = {found:g}",
            f"{name} = {1 if found < 1 else most}",
        )
    return found
