"""1F1B: one forward, one backward (PipeDream-Flush; Narayanan et al. 2021, arXiv:2006.09503)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def one_f_one_b(ranks: int, microbatches: int) -> Schedule:
    """1F1B for P = `ranks` >= 2 and m = `microbatches` >= 1.

    Rank r never holds more than P - r chunks: the next forward waits for a backward.

    >>> print(*one_f_one_b(2, 3).ops[0])
    F0.0 F0.1 B0.0 F0.2 B0.1 B0.2
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    return assemble("1f1b", ranks, microbatches, lambda rank: _rank_ops(rank, ranks, microbatches))


def _rank_ops(rank: int, ranks: int, microbatches: int) -> list[Op]:
    order = RankOrder(slots=1)
    warm_up = min(ranks - rank - 1, microbatches)
    for _ in range(warm_up):
        order.forward(0)
    for _ in range(microbatches - warm_up):
        order.forward(0)
        order.backward(0)
    for _ in range(warm_up):
        order.backward(0)
    return order.ops
