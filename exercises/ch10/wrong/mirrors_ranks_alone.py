# rejected by unfold: the slots are not exchanged on the way back

from __future__ import annotations

from fractions import Fraction

# ("F", slot, microbatch), the same with "I", "W" or "B", or an overlapped pair:
# ("FB", (slot, microbatch) of the forward, (slot, microbatch) of the backward).
Op = tuple
# ("activation", stage, microbatch) or ("gradient", stage, microbatch): the output of that stage.
Message = tuple


def cut(ops: list[list[Op]]) -> tuple[list[list[int]], list[list[Op]], list[Message]] | None:
    """Stages a rank, op lists and local hand-overs of the half of an order for two copies; None if it has no half."""
    half, extra = divmod(len(ops), 2)
    other = [list(map(mirrored, map(tuple_of, rank))) for rank in reversed(ops[:half])]
    if extra or other != [list(map(tuple_of, rank)) for rank in ops[half:]]:
        return None
    # What left rank P - 1 for rank P came, in the mirror, from rank P - 1 itself: the turn of the V.
    stages = [[rank, 2 * half - 1 - rank] for rank in range(half)]
    n = 1 + max(chunk[1] for op in ops[0] for chunk in chunks(op))
    kept = [("activation", half - 1, k) for k in range(n)]
    kept += [("gradient", half, k) for k in range(n)]
    return stages, [list(rank) for rank in ops[:half]], kept


def unfold(ops: list[list[Op]]) -> list[list[Op]]:
    """The order for two copies on twice as many ranks, of which `ops` is the half."""
    first = [list(map(tuple_of, rank)) for rank in ops]
    return first + list(reversed(first))


def break_even(zb_v: list[list[Op]], dualpipev: list[list[Op]], costs: dict) -> Fraction | None:
    """The FB at which both take equally long; None if DualPipeV is behind even at the shortest, max(F, B)."""
    costs = {**costs, "B": costs["I"] + costs["W"]}
    shortest = max(costs["F"], costs["B"])
    least = makespan(dualpipev, {**costs, "FB": shortest})
    room = makespan(zb_v, costs) - least
    if room < 0:
        return None
    # From there on the makespan is a straight line in FB; two points of it give its slope.
    slope = makespan(dualpipev, {**costs, "FB": shortest + 1}) - least
    return shortest + Fraction(room) / slope


def tuple_of(op: Op) -> Op:
    """The op with tuples throughout, so that equal ops are equal."""
    return tuple(tuple(part) if isinstance(part, list | tuple) else part for part in op)


def chunks(op: Op) -> list[tuple[int, int]]:
    """The chunks of an op: (slot, microbatch), the forward's first."""
    return [op[1], op[2]] if op[0] == "FB" else [(op[1], op[2])]


def mirrored(op: Op) -> Op:
    """The same work for the other copy."""
    if op[0] == "FB":
        return "FB", (1 - op[1][0], op[1][1]), (1 - op[2][0], op[2][1])
    return op[0], 1 - op[1], op[2]


def makespan(ops: list[list[Op]], costs: dict) -> Fraction:
    """When the last op of a V ends; each op starts as soon as its rank and what it needs are ready."""
    ranks, done = len(ops), {}
    clock, place = [Fraction(0)] * ranks, [0] * ranks

    def needs(kind: str, rank: int, chunk: tuple[int, int]) -> tuple | None:
        """The chunk whose output is needed, as (F or B, rank, slot, microbatch); W needs its rank alone."""
        slot, k = chunk
        last = ranks - 1
        if kind == "F":
            if slot == 0:
                return ("F", rank - 1, 0, k) if rank else None
            return ("F", rank + 1, 1, k) if rank < last else ("F", last, 0, k)
        if kind in ("B", "I"):
            if slot == 1:
                return ("B", rank - 1, 1, k) if rank else None
            return ("B", rank + 1, 0, k) if rank < last else ("B", last, 1, k)
        return None

    moved = True
    while moved:
        moved = False
        for rank in range(ranks):
            while place[rank] < len(ops[rank]):
                op = ops[rank][place[rank]]
                kinds = ("F", "B") if op[0] == "FB" else (op[0],)
                parts = list(zip(kinds, chunks(op), strict=True))
                wanted = [one for one in (needs(kind, rank, c) for kind, c in parts) if one]
                if any(one not in done for one in wanted):
                    break
                clock[rank] = max([clock[rank], *(done[one] for one in wanted)]) + costs[op[0]]
                for kind, (slot, k) in parts:
                    if kind != "W":
                        done["F" if kind == "F" else "B", rank, slot, k] = clock[rank]
                place[rank] += 1
                moved = True
    return max(clock)
