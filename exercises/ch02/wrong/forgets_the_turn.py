# rejected by order: where a V turns, a rank hands to itself; it calls a late hand-over a deadlock

from __future__ import annotations

from typing import Any


def find_problem(schedule: dict[str, Any]) -> str:
    routes, n = schedule["routes"], schedule["n"]
    places = {place: (d, s) for d, route in enumerate(routes) for s, place in enumerate(route)}
    ranks = [[pieces(op, rank, places) for op in ops] for rank, ops in enumerate(schedule["ops"])]
    done = [piece for ops in ranks for op in ops for piece in op]
    wanted = [(x, *at, k) for x in "FIW" for at in places.values() for k in range(n)]
    if sorted(done) != sorted(wanted):
        return "incomplete"
    last = len(routes[0]) - 1
    for ops in ranks:
        before: set[tuple] = set()
        for op in ops:
            if any(
                need not in before and need[1:] in [piece[1:] for piece in op]
                for need in needs(op, last)
            ):
                return "order"
            before.update(op)
    return "fine" if runs(ranks, last) else "deadlock"


def pieces(op: tuple, rank: int, places: dict) -> list[tuple]:
    kind, *rest = op
    if kind == "FB":
        return pieces(("F", *rest[0]), rank, places) + pieces(("B", *rest[1]), rank, places)
    slot, k = rest
    return [(x, *places[rank, slot], k) for x in ("IW" if kind == "B" else kind)]


def needs(op: list[tuple], last: int) -> set[tuple]:
    found = set()
    for x, d, s, k in op:
        if x == "F" and s > 0:
            found.add(("F", d, s - 1, k))
        if x == "I":
            found.add(("F", d, s, k))
        if x == "I" and s < last:
            found.add(("I", d, s + 1, k))
        if x == "W" and ("I", d, s, k) not in op:
            found.add(("I", d, s, k))
    return found


def runs(ranks: list[list[list[tuple]]], last: int) -> bool:
    done: set[tuple] = set()
    at = [0] * len(ranks)
    moved = True
    while moved:
        moved = False
        for rank, ops in enumerate(ranks):
            while at[rank] < len(ops) and needs(ops[at[rank]], last) <= done:
                done.update(ops[at[rank]])
                at[rank] += 1
                moved = True
    return all(place == len(ops) for place, ops in zip(at, ranks, strict=True))
