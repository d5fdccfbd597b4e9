# rejected by memory: all forwards of both directions first, so that every rank holds m activations

from __future__ import annotations


def dualpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    near, far = (0, 1) if rank < ranks // 2 else (1, 0)
    n = microbatches // 2
    forwards = [("F", slot, k) for k in range(n) for slot in (near, far)]
    backwards = [("B", slot, k) for k in range(n) for slot in (far, near)]
    return forwards + backwards
