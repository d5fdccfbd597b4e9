"""A checker for schedules: complete, in order on each rank, and free of deadlock?"""

from __future__ import annotations

from typing import Any

# skeleton: begin
# A piece of work: ("F", "I" or "W", direction, stage, micro-batch). An op does one, two (B) or three (FB).
Piece = tuple[str, int, int, int]


# skeleton: end
def find_problem(schedule: dict[str, Any]) -> str:
    """One of "fine", "incomplete", "order" and "deadlock"; where several fit, the earliest in that list of faults."""
    # skeleton: begin
    routes = schedule["routes"]
    homes = {
        tuple(place): (direction, stage)
        for direction, route in enumerate(routes)
        for stage, place in enumerate(route)
    }
    ranks = [[pieces_of(op, rank, homes) for op in ops] for rank, ops in enumerate(schedule["ops"])]
    if not is_complete(ranks, routes, schedule["n"]):
        return "incomplete"
    stages = len(routes[0])
    if not all(is_in_order(ops, stages) for ops in ranks):
        return "order"
    return "fine" if can_finish(ranks, stages) else "deadlock"
    # skeleton: end


# skeleton: begin
def pieces_of(op: tuple, rank: int, homes: dict) -> list[Piece]:
    """What the op does, in terms of the model: a slot of a rank is a stage of a direction."""
    kind, *rest = op
    if kind == "FB":
        forward, backward = rest
        work = [("F", *forward), ("I", *backward), ("W", *backward)]
    else:
        work = [(letter, *rest) for letter in ("IW" if kind == "B" else kind)]
    return [(letter, *homes[rank, slot], microbatch) for letter, slot, microbatch in work]


def is_complete(ranks: list[list[list[Piece]]], routes: list, n: int) -> bool:
    """Every piece of the step once. Whatever a rank runs is its own, so it does not matter where."""
    done = [piece for ops in ranks for pieces in ops for piece in pieces]
    wanted = {
        (letter, direction, stage, microbatch)
        for letter in "FIW"
        for direction, route in enumerate(routes)
        for stage in range(len(route))
        for microbatch in range(n)
    }
    return len(done) == len(wanted) and set(done) == wanted


def needs_of(pieces: list[Piece], stages: int) -> list[Piece]:
    """The pieces that must be done before an op that does these."""
    needs: list[Piece] = []
    for letter, direction, stage, microbatch in pieces:
        if letter == "F" and stage > 0:
            needs.append(("F", direction, stage - 1, microbatch))
        if letter == "I":
            needs.append(("F", direction, stage, microbatch))
            if stage + 1 < stages:
                needs.append(("I", direction, stage + 1, microbatch))
        if letter == "W" and ("I", direction, stage, microbatch) not in pieces:
            needs.append(("I", direction, stage, microbatch))
    return needs


def is_in_order(ops: list[list[Piece]], stages: int) -> bool:
    """Does each op come after what it needs of its own rank?"""
    own = {piece for pieces in ops for piece in pieces}
    done: set[Piece] = set()
    for pieces in ops:
        if any(need in own and need not in done for need in needs_of(pieces, stages)):
            return False
        done.update(pieces)
    return True


def can_finish(ranks: list[list[list[Piece]]], stages: int) -> bool:
    """Let every rank run as far as it can, again and again, until none gets any further.

    An op that can run stays able to, whatever else runs first: so this order misses nothing.
    """
    done: set[Piece] = set()
    at = [0] * len(ranks)
    moved = True
    while moved:
        moved = False
        for rank, ops in enumerate(ranks):
            while at[rank] < len(ops) and done.issuperset(needs_of(ops[at[rank]], stages)):
                done.update(ops[at[rank]])
                at[rank] += 1
                moved = True
    return at == [len(ops) for ops in ranks]


# skeleton: end
