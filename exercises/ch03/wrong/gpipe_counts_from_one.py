# rejected by gpipe complete: it numbers the micro-batches from 1

from __future__ import annotations


def gpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    return [(kind, 0, k) for kind in "FB" for k in range(1, microbatches + 1)]


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    warm_up = min(ranks - rank - 1, microbatches)
    ops = [("F", 0, k) for k in range(warm_up)]
    for k in range(warm_up, microbatches):
        ops += [("F", 0, k), ("B", 0, k - warm_up)]
    return ops + [("B", 0, k) for k in range(microbatches - warm_up, microbatches)]
