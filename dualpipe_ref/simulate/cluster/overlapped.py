"""Interleaved 1F1B whose steady state is made of overlapped pairs, as Megatron-Core has it for experts on other nodes.

Each rank does one forward more before its first backward, so that a pair never needs itself. Source of the idea: Megatron-Core's
`--overlap-moe-expert-parallel-comm` (v0.14); this order is ours, from the package's interleaved 1F1B.
"""

from __future__ import annotations

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder

NAME = "interleaved-overlapped"


def interleaved_overlapped(ranks: int, microbatches: int, chunks: int = 2) -> Schedule:
    """For P = `ranks` >= 2, v = `chunks` >= 2 stages a rank, and a multiple of P micro-batches.

    >>> print(*interleaved_overlapped(2, 2).ops[1])
    F0.0 F0.1 F1.0 FB(F1.1, B1.0) B1.1 B0.0 B0.1
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    require_int("chunks", chunks, 2)
    if microbatches % ranks:
        raise InputError(
            "overlapped interleaved micro-batches are a multiple of P",
            f"P = {ranks}, m = {microbatches}",
            f"m = {max(1, round(microbatches / ranks)) * ranks}",
        )

    def rank_ops(rank: int) -> list[Op]:
        order = RankOrder(chunks)
        total = microbatches * chunks
        warm_up = min((chunks - 1) * ranks + 2 * (ranks - 1 - rank) + 1, total)
        forwards = [count // ranks % chunks for count in range(total)]
        backwards = [chunks - 1 - slot for slot in forwards]
        for slot in forwards[:warm_up]:
            order.forward(slot)
        for one, other in zip(forwards[warm_up:], backwards, strict=False):
            order.overlapped(one, other)
        for slot in backwards[total - warm_up :]:
            order.backward(slot)
        return order.ops

    return assemble("interleaved", ranks, microbatches, rank_ops, chunks)
