"""GPipe: all forwards, then all backwards (Huang et al. 2019, arXiv:1811.06965)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def gpipe(ranks: int, microbatches: int) -> Schedule:
    """GPipe for P = `ranks` >= 2 and m = `microbatches` >= 1; backwards in micro-batch order.

    >>> print(*gpipe(2, 2).ops[1])
    F0.0 F0.1 B0.0 B0.1
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    return assemble("gpipe", ranks, microbatches, lambda _: _rank_ops(microbatches))


def _rank_ops(microbatches: int) -> list[Op]:
    order = RankOrder(slots=1)
    for _ in range(microbatches):
        order.forward(0)
    for _ in range(microbatches):
        order.backward(0)
    return order.ops
