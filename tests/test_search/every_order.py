"""All orders of a tiny problem, one by one: no constraint solver, and no rule about the numbers of micro-batches.

The clock here is its own, too, and shares nothing with the package's simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

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


def makespan(problem: Problem, ops: tuple[Ops, ...]) -> Fraction | None:
    """When the last op ends; None where an op waits for ever."""
    homes, last = problem.held_stages().homes, problem.held_stages().stages - 1
    ends: dict[Done, Fraction] = {}
    clock, place = [Fraction(0)] * len(ops), [0] * len(ops)
    time = {kind: Fraction(problem.costs.of(kind)) for kind in OpKind}

    def needs(rank: int, op: Op) -> Iterator[Done]:
        if op.forward is not None:
            direction, stage = homes[rank][op.forward.slot]
            if stage:
                yield "F", direction, stage - 1, op.forward.microbatch
        if op.backward is not None and op.kind is not OpKind.W:
            direction, stage = homes[rank][op.backward.slot]
            turn = ("F", direction, stage) if stage == last else ("B", direction, stage + 1)
            yield *turn, op.backward.microbatch

    moved = True
    while moved:
        moved = False
        for rank, order in enumerate(ops):
            while place[rank] < len(order):
                op = order[place[rank]]
                wanted = list(needs(rank, op))
                if any(one not in ends for one in wanted):
                    break
                clock[rank] = max([clock[rank], *(ends[one] for one in wanted)]) + time[op.kind]
                for name, chunk in (("F", op.forward), ("B", op.backward)):
                    if chunk is not None and op.kind is not OpKind.W:
                        ends[name, *homes[rank][chunk.slot], chunk.microbatch] = clock[rank]
                place[rank] += 1
                moved = True
    return max(clock) if all(map(int.__eq__, place, map(len, ops))) else None


def fastest(problem: Problem) -> Fraction | None:
    """The least makespan of all orders that keep the caps; None where none does."""
    choices = [rank_orders(problem, rank) for rank in range(problem.ranks)]
    times = (makespan(problem, ops) for ops in product(*choices))
    return min((time for time in times if time is not None), default=None)
