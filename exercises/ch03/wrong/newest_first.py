# rejected by makespan: it takes the newest activations off the stack, and waits for their gradients

from __future__ import annotations


def gpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    return [(kind, 0, k) for kind in "FB" for k in range(microbatches)]


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    warm_up = min(ranks - rank - 1, microbatches)
    ops, held = [], []
    for k in range(microbatches):
        ops.append(("F", 0, k))
        held.append(k)
        if k >= warm_up:
            ops.append(("B", 0, held.pop()))
    return ops + [("B", 0, k) for k in reversed(held)]
