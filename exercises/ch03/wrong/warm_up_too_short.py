# rejected by makespan: with one forward too few, a rank waits for each gradient instead of working

from __future__ import annotations


def gpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    return [(kind, 0, k) for kind in "FB" for k in range(microbatches)]


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    warm_up = max(0, min(ranks - rank - 2, microbatches))
    ops = [("F", 0, k) for k in range(warm_up)]
    for k in range(warm_up, microbatches):
        ops += [("F", 0, k), ("B", 0, k - warm_up)]
    return ops + [("B", 0, k) for k in range(microbatches - warm_up, microbatches)]
