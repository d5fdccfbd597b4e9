"""All orders of a tiny problem, one by one: no constraint solver, and no rule about the numbers of micro-batches.

The clock here is its own, too, and shares nothing with the package's simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from dualpipe_ref.schedule import Chunk, Op, OpKind
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.search import Problem

Ops = tuple[Op, ...]
Done = tuple[str, int, int, int]  # F or B, direction, stage, micro-batch


def orders(chains: tuple[Ops, ...]) -> Iterator[Ops]:
    """All ways to run several chains on one rank, each chain in its own order."""
    if not any(chains):
        yield ()
        return
    for place, chain in enumerate(chains):
        if chain:
            rest = (*chains[:place], chain[1:], *chains[place + 1 :])
            for order in orders(rest):
                yield chain[0], *order


def with_pairs(ops: Ops) -> Iterator[Ops]:
    """The same order with any of its neighbours F, B or F, I, W run together.

    With split backwards a pair takes the place of an F and of an I that its own W follows at once.
    """
    if not ops:
        yield ()
        return
    for rest in with_pairs(ops[1:]):
        yield ops[0], *rest
    first, used = ops[0], 2
    if first.kind is not OpKind.F or len(ops) < 2:
        return
    second = ops[1]
    if second.kind is OpKind.I:
        if len(ops) < 3 or ops[2].kind is not OpKind.W or ops[2].backward != second.backward:
            return
        used = 3
    elif second.kind is not OpKind.B:
        return
    if second.backward == first.forward:
        return
    for rest in with_pairs(ops[used:]):
        yield Op(OpKind.FB, first.forward, second.backward), *rest


def rank_orders(problem: Problem, rank: int) -> list[Ops]:
    """Everything that one rank can run, within its own caps."""
    placement = problem.held_stages()
    n = problem.microbatches // placement.directions
    kinds = (OpKind.I, OpKind.W) if problem.backward == "split" else (OpKind.B,)
    chains: list[Ops] = []
    for slot in range(placement.slots):
        for k in range(n):
            chunk = Chunk(slot, k)
            chains.append((Op(OpKind.F, chunk), *(Op(kind, None, chunk) for kind in kinds)))
    homes = placement.homes[rank]
    found = {order for order in orders(tuple(chains)) if passes(order, homes)}
    if problem.pairs:
        found = {paired for order in found for paired in with_pairs(order)}
    caps, held = problem.caps("max_activations"), problem.caps("max_held")
    return sorted(
        order
        for order in found
        if (caps is None or most(order, "activations") <= caps[rank])
        and (held is None or most(order, "held") <= held[rank])
    )


def passes(order: Ops, homes: tuple[tuple[int, int], ...]) -> bool:
    """Whether a micro-batch that comes by twice does so in the order of its stages, and goes back the other way.

    An order that does not could never run. Leaving it out here saves trying it beside all orders of other ranks.
    """
    seen: dict[tuple[str, int, int], int] = {}
    for op in order:
        chunk = op.chunk
        if op.kind is OpKind.W:
            continue
        direction, stage = homes[chunk.slot]
        way = ("F" if op.forward else "B", direction, chunk.microbatch)
        stage = stage if op.forward else -stage
        if stage < seen.get(way, stage):
            return False
        seen[way] = stage
    return True


def most(order: Ops, what: str) -> int:
    """The most that a rank holds while it runs this."""
    return max(getattr(during, what) for during, _ in occupancy(order))


class Step(NamedTuple):
    """An op as its clock sees it: what it needs, what it makes, how long it takes (in whole numbers)."""

    needs: tuple[Done, ...]
    makes: tuple[Done, ...]
    time: int


def steps(problem: Problem, rank: int, ops: Ops) -> list[Step]:
    """The ops of a rank in these terms."""
    placement, time = problem.held_stages(), problem.whole_costs()
    last = placement.stages - 1
    found = []
    for op in ops:
        needs: list[Done] = []
        makes: list[Done] = []
        if op.forward is not None:
            direction, stage = placement.homes[rank][op.forward.slot]
            makes.append(("F", direction, stage, op.forward.microbatch))
            if stage:
                needs.append(("F", direction, stage - 1, op.forward.microbatch))
        if op.backward is not None and op.kind is not OpKind.W:
            direction, stage = placement.homes[rank][op.backward.slot]
            makes.append(("B", direction, stage, op.backward.microbatch))
            turn: Done = ("F", direction, stage, op.backward.microbatch)
            above: Done = ("B", direction, stage + 1, op.backward.microbatch)
            needs.append(turn if stage == last else above)
        found.append(Step(tuple(needs), tuple(makes), time[op.kind]))
    return found


def end(programs: Sequence[list[Step]]) -> int | None:
    """When the last op ends; None where an op waits for ever."""
    ends: dict[Done, int] = {}
    clock, place = [0] * len(programs), [0] * len(programs)
    moved = True
    while moved:
        moved = False
        for rank, program in enumerate(programs):
            now = clock[rank]
            for needs, makes, time in program[place[rank] :]:
                ready = [ends.get(one) for one in needs]
                if None in ready:
                    break
                now = max([now, *ready]) + time  # type: ignore[type-var, operator, list-item]
                ends.update(dict.fromkeys(makes, now))
                place[rank] += 1
                moved = True
            clock[rank] = now
    return max(clock) if all(map(int.__eq__, place, map(len, programs))) else None


def fastest(problem: Problem) -> Fraction | None:
    """The least makespan of all orders that keep the caps; None where none does."""
    choices = [
        [steps(problem, rank, ops) for ops in rank_orders(problem, rank)]
        for rank in range(problem.ranks)
    ]
    ends = (end(programs) for programs in product(*choices))
    best = min((one for one in ends if one is not None), default=None)
    return None if best is None else Fraction(best, problem.scale())
