# rejected by gpipe makespan: every second rank takes its backwards last to first, and waits for the last

from __future__ import annotations


def gpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    forwards = [("F", 0, k) for k in range(microbatches)]
    backwards = [("B", 0, k) for k in range(microbatches)]
    return forwards + (backwards[::-1] if rank % 2 else backwards)


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    warm_up = min(ranks - rank - 1, microbatches)
    ops = [("F", 0, k) for k in range(warm_up)]
    for k in range(warm_up, microbatches):
        ops += [("F", 0, k), ("B", 0, k - warm_up)]
    return ops + [("B", 0, k) for k in range(microbatches - warm_up, microbatches)]
