# rejected by memory: GPipe under another name; the makespan alone would not tell

from __future__ import annotations


def gpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    return [(kind, 0, k) for kind in "FB" for k in range(microbatches)]


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    return gpipe(rank, ranks, microbatches)
