"""What an answer to chapter 10 must do: halve any order that has a half, and say when the half is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from reprlib import repr as short
from typing import Any, NamedTuple

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import Size, at, broken, growing, to_op, to_plain
from dualpipe_ref.schedule import InputError, Op, Placement, Schedule, build
from dualpipe_ref.schedule.check_bounds import check_order
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.break_even import break_even_pair

# (P, m) of the half; the whole has 2P ranks and 2m micro-batches.
SIZES = growing([(ranks, 2 * ranks - 1 + extra) for ranks in range(2, 7) for extra in (0, 1, 2, 5)])
# Chimera has another order and the same two copies; n micro-batches a direction are a multiple of P.
CHIMERA = growing([(ranks, ranks * units) for ranks in range(1, 5) for units in (1, 2)])
EQUAL = growing([(2, 3), (2, 6), (3, 5), (3, 8), (4, 7), (4, 12), (6, 11), (8, 20)])
Q = Fraction
# F, I, W. In the fourth, for most sizes, no pair is short enough; in the fifth it may take longer than F and B together.
COSTS = (
    (Q(1), Q(1), Q(1)),
    (Q(2), Q(3), Q(1)),
    (Q(1), Q(3, 2), Q(1, 2)),
    (Q(1, 4), Q(3), Q(1)),
    (Q(1), Q(1), Q(6)),
    (Q(5), Q(1), Q(1)),
    (Q(7, 5), Q(22, 9), Q(2, 3)),
)


class Half(NamedTuple):
    """What `cut` gave for an order, read."""

    whole: Schedule
    stages: Any
    ops: list[list[Op]]
    kept: Any


def plain(schedule: Schedule) -> list[list[tuple[Any, ...]]]:
    return [[to_plain(op) for op in ops] for ops in schedule.ops]


def wholes() -> Iterator[Schedule]:
    """Orders for two copies of the model that have a half, smallest first."""
    cases = [("dualpipe", size) for size in SIZES] + [("chimera", size) for size in CHIMERA]
    for kind, (ranks, n) in sorted(cases, key=lambda case: case[1][0] * case[1][1]):
        yield build(kind, 2 * ranks, 2 * n)


def size_of(schedule: Schedule) -> Size:
    return schedule.ranks, schedule.microbatches


def fault(schedule: Schedule, what: str, costs: Costs | None = None) -> Fault:
    """A fault with the order in question to look at."""
    shown = Counterexample.at(schedule, (), what, costs)
    return Fault(f"{schedule.kind}, {at(size_of(schedule))}: {what}", shown)


def halves(answer: Answer) -> Iterator[Half]:
    for whole in wholes():
        got = call(answer, "cut", plain(whole))
        if not isinstance(got, list | tuple) or len(got) != 3:
            raise fault(whole, f"cut returns {short(got)}, not (stages, ops, hand-overs)")
        stages, lists, kept = got
        if not isinstance(lists, list | tuple) or not all(
            isinstance(x, list | tuple) for x in lists
        ):
            raise fault(whole, f"{short(lists)} is no list of op lists")
        yield Half(whole, stages, [[to_op(item) for item in ops] for ops in lists], kept)


def placement(answer: Answer) -> Fault | None:
    """Half of the ranks, each with its two stages of one model, as the V has them."""
    for half in halves(answer):
        ranks = half.whole.ranks // 2
        wanted = [[stage for _, stage in held] for held in Placement.v_shape(ranks).homes]
        got = half.stages
        same = isinstance(got, list | tuple) and all(isinstance(x, list | tuple) for x in got)
        if not same or [list(held) for held in got] != wanted:
            return fault(
                half.whole, f"the half holds the stages {short(got)}; one model is {wanted}"
            )
        if len(half.ops) != ranks:
            return fault(half.whole, f"the half has {len(half.ops)} op lists, for {ranks} ranks")
    return None


def order(answer: Answer) -> Fault | None:
    """A V that keeps every rule; of DualPipe it is the published one."""
    for half in halves(answer):
        ranks, n = half.whole.ranks // 2, half.whole.microbatches // 2
        try:
            schedule = assemble("dualpipev", ranks, n, lambda rank: half.ops[rank])  # noqa: B023
        except (InputError, IndexError) as error:
            return fault(half.whole, f"its half is no order for {ranks} ranks and m = {n}: {error}")
        for violation in find_violations(schedule):
            return broken(schedule, violation, f" (the half of {half.whole.kind})")
        if half.whole.kind == "dualpipe":
            for violation in check_order(schedule, build("dualpipev", ranks, n)):
                return broken(schedule, violation)
        elif schedule.ops != half.whole.ops[:ranks]:
            return fault(half.whole, "the half is not what its first ranks run")
    return None


def hand_overs(answer: Answer) -> Fault | None:
    """What crossed the cut stays on the last rank: each such message once, and no other."""
    for half in halves(answer):
        ranks, n = half.whole.ranks // 2, half.whole.microbatches // 2
        wanted = Counter(("activation", ranks - 1, k) for k in range(n))
        wanted.update(("gradient", ranks, k) for k in range(n))
        items = half.kept if isinstance(half.kept, list | tuple) else [half.kept]
        got = Counter(tuple(item) if isinstance(item, list | tuple) else item for item in items)
        for message in [*(got - wanted), *(wanted - got)]:
            word = "is not kept" if wanted[message] > got[message] else "is kept too often"
            count = f"{got[message]} times instead of {wanted[message]}"
            return fault(half.whole, f"the hand-over {message!r} {word}: {count}")
    return None


def without_half() -> Iterator[tuple[Schedule, str]]:
    """Orders whose second half of the ranks does not mirror the first."""
    for whole in wholes():
        for rank in {0, whole.ranks // 2, whole.ranks - 1}:
            ops = list(map(list, whole.ops))
            for place, (one, other) in enumerate(zip(ops[rank], ops[rank][1:], strict=False)):
                if one.kind == other.kind == "F" and one.chunk.slot != other.chunk.slot:
                    ops[rank][place : place + 2] = other, one
                    break
            else:
                continue
            changed = assemble(whole.kind, *size_of(whole), ops.__getitem__)
            yield changed, f"rank {rank} runs {other} before {one}, and its mirror image does not"


def refuses(answer: Answer) -> Fault | None:
    for schedule, why in without_half():
        if (got := call(answer, "cut", plain(schedule))) is not None:
            return fault(schedule, f"{why}; cut returns {short(got)} and not None")
    return None


def unfolds(answer: Answer) -> Fault | None:
    for whole in wholes():
        first = plain(whole)[: whole.ranks // 2]
        got = call(answer, "unfold", first)
        try:
            lists = [[to_op(item) for item in ops] for ops in got]
        except TypeError:
            return fault(whole, f"unfold returns {short(got)}, not op lists")
        for rank, ops in enumerate(whole.ops):
            if rank >= len(lists) or tuple(lists[rank]) != ops:
                return fault(whole, f"unfolded, rank {rank} does not run what it should")
        if len(lists) > whole.ranks:
            return fault(whole, f"unfolded, it has {len(lists)} ranks")
    return None


def judged(costs: tuple[tuple[Fraction, ...], ...]) -> Callable[[Answer], Fault | None]:
    """A check: the pair at which both are equal, exact, for these costs."""

    def find_fault(answer: Answer) -> Fault | None:
        for size in EQUAL:
            zb_v, half = build("zb-v", *size), build("dualpipev", *size)
            for F, I, W in costs:  # noqa: E741, N806 - the field's names
                exact = Costs(F, I, W)
                rival = simulate(zb_v, exact).makespan
                wanted = break_even_pair(half, rival, exact)
                given = {"F": F, "I": I, "W": W}
                got = call(answer, "break_even", plain(zb_v), plain(half), given)
                right = type(got) in (int, Fraction) if wanted is not None else got is None
                if not right or got != wanted:
                    words = ", ".join(f"{name} = {value}" for name, value in given.items())
                    what = f"{words}: ZB-V takes {rival}; DualPipeV does at FB = {wanted}, not {short(got)}"
                    shown = Costs(F, I, W, FB=wanted or max(F, I + W))
                    return fault(half, what, shown)
        return None

    return find_fault


CHECKS = (
    Check(
        "placement",
        "the half has P ranks, and each its two stages of one model",
        placement,
        points=1,
        hint="follow one micro-batch of direction 0 through the whole; where does the half have its second part?",
    ),
    Check(
        "order",
        "the half keeps every rule; DualPipe's is the published DualPipeV",
        order,
        needs=("placement",),
        points=2,
        hint="nothing is renumbered: a rank's list stays as it is",
    ),
    Check(
        "handed over",
        "what crossed the cut is kept on the last rank, each message once",
        hand_overs,
        needs=("placement",),
        points=2,
        hint="two kinds of message crossed from rank P - 1 to rank P; name each by the stage that makes it",
    ),
    Check(
        "no half",
        "an order whose second half is no mirror image cannot be cut",
        refuses,
        needs=("placement",),
        points=1,
        hint="compare each rank with the one at the other end, slots exchanged",
    ),
    Check(
        "unfold",
        "put together again it is the order that was cut",
        unfolds,
        points=1,
        hint="the mirror image exchanges two things: the ranks and the slots",
    ),
    Check(
        "break even",
        "at F = I = W = 1: the FB at which ZB-V and DualPipeV are equal, exact",
        judged(COSTS[:1]),
        points=2,
        hint="simulate at two values of FB: between them the makespan is a straight line",
    ),
    Check(
        "all costs",
        "the same for other costs, and None where no pair is short enough",
        judged(COSTS),
        needs=("break even",),
        points=1,
        hint="the straight line begins at FB = max(F, B); what is left of it does not exist",
    ),
)
