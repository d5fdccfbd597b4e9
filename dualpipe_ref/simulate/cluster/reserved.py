"""How many SMs an overlapped pair should give to communication: what they cost computation against what they bring the links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.stage import OpParts, lone, overlapped


class BreakEven(NamedTuple):
    """SMs of the shortest pair (`best`), and from `least` to `most` those with which a pair is shorter than its two chunks one
    after the other; none of them (`least` above `most`) where overlapping gains nothing."""

    best: int
    least: int
    most: int


def pair_on(plan: Plan, sms: int, layers: int = 4) -> OpParts:
    """A pair of so many layers with experts, `sms` of its device's SMs reserved, the rest left to computation.

    >>> few, many = pair_on(Plan(), 2), pair_on(Plan(), 20)
    >>> few.exposed > 0, many.exposed, many.sm_tax > few.sm_tax
    (True, 0, True)
    """
    _check(plan)
    of = plan.device.sms
    if require_int("sms", sms, 1) >= of:
        raise InputError("computation must keep an SM", f"sms = {sms} of {of}", f"sms = {of - 1}")
    layer = Layout(replace(plan, sms=sms)).layer(False, True)
    chunk = [layer] * layers
    return overlapped(chunk, chunk, (of, of - sms))


def one_after_the_other(plan: Plan, layers: int = 4) -> OpParts:
    """The forward and then the backward of such a pair: each part has all SMs, and no all-to-all is hidden.

    >>> alone = one_after_the_other(Plan())
    >>> alone.sm_tax, alone.length > pair_on(Plan(), 20).length
    (0, True)
    """
    _check(plan)
    chunk = [Layout(replace(plan, sms=plan.device.sms)).layer(False, False)] * layers
    parts = zip(lone(chunk, OpKind.F), lone(chunk, OpKind.B), strict=True)
    return OpParts(*(forward + backward for forward, backward in parts))


def break_even(plan: Plan, layers: int = 4) -> BreakEven:
    """The best number of SMs, and those that gain anything at all.

    With n of s SMs reserved computation takes s / (s - n) times as long, and communication what n SMs reach of the links: both
    are convex in n (a share of a link is concave, and so its inverse convex). A pair is the longest of chains that add
    such times up, so it is convex, too: its lowest point and where it crosses a level are found by bisection.

    >>> break_even(Plan())
    BreakEven(best=4, least=3, most=45)
    """
    most = plan.device.sms - 1
    alone = one_after_the_other(plan, layers).length
    lengths: dict[int, int] = {}

    def length(sms: int) -> int:
        if sms not in lengths:
            lengths[sms] = pair_on(plan, sms, layers).length
        return lengths[sms]

    best = _first(1, most, lambda sms: length(sms + 1) >= length(sms))
    if length(best) >= alone:
        return BreakEven(best, best + 1, best)
    least = _first(1, best, lambda sms: length(sms) < alone)
    beyond = _first(best, most + 1, lambda sms: length(sms) >= alone)
    return BreakEven(best, least, beyond - 1)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first number from `low` on for which it holds, if it then goes on to hold; `high` without being asked."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _check(plan: Plan) -> None:
    if plan.exchange is None:
        raise InputError(
            "SMs are reserved for experts on other ranks",
            f"{plan.shape.experts} experts on {plan.expert_ranks} rank",
            f"expert_ranks = {plan.device.gpus_per_node}",
        )
    if not plan.transport.needs_sms:
        raise InputError(
            "SMs are reserved for a transport that needs some", plan.transport.name, "sms"
        )
