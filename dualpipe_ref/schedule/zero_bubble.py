"""ZB-H1 and ZB-V: the backward split in two, so that W fills the bubble (Qi et al., arXiv:2401.10241)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def zb_h1(ranks: int, microbatches: int) -> Schedule:
    """ZB-H1 for P = `ranks` >= 2 and m = `microbatches` >= 1.

    The order of 1F1B with I in place of B; rank r keeps up to r weight gradients pending, so that
    every rank holds P chunks until W, as rank 0 of 1F1B does, and no more.

    >>> print(*zb_h1(2, 3).ops[1])
    F0.0 I0.0 F0.1 I0.1 W0.0 F0.2 I0.2 W0.1 W0.2
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    return assemble(
        "zb-h1", ranks, microbatches, lambda rank: _h1_rank_ops(rank, ranks, microbatches)
    )


def _h1_rank_ops(rank: int, ranks: int, microbatches: int) -> list[Op]:
    order = RankOrder(slots=1)
    warm_up = min(ranks - rank - 1, microbatches)
    for _ in range(warm_up):
        order.forward(0)
    for done in range(microbatches):
        if done < microbatches - warm_up:
            order.forward(0)
        order.backward_input(0)
        if order.pending() > rank:
            order.weight()
    while order.pending():
        order.weight()
    return order.ops


def zb_v(ranks: int, microbatches: int) -> Schedule:
    """ZB-V for P = `ranks` >= 2 and m = `microbatches` >= 1; two stages a rank, placed as a V.

    Built for max(m, 2P - 1) micro-batches; those from m on are then left out, as
    torch.distributed.pipelining's ScheduleZBVZeroBubble does.

    >>> print(*zb_v(2, 3).ops[1])
    F0.0 F1.0 F0.1 F1.1 I1.0 W1.0 F0.2 I0.0 W0.0 F1.2 I1.1 W1.1 I0.1 I1.2 I0.2 W0.1 W1.2 W0.2
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    return assemble(
        "zb-v", ranks, microbatches, lambda rank: _v_rank_ops(rank, ranks, microbatches)
    )


def _v_rank_ops(rank: int, ranks: int, microbatches: int) -> list[Op]:
    order = RankOrder(slots=2)
    built = max(microbatches, 2 * ranks - 1)
    _v_warm_up(order, rank, ranks)
    # Warm-up ran 2P - r - 1 forwards in slot 0 (r of them paired) and P forwards in slot 1.
    forwards_left = built - (2 * ranks - rank - 1)
    for turn in range(built - ranks):
        if turn < forwards_left:
            order.forward(0)
        order.backward_input(0)
        order.weight(0)
        order.forward(1)
        order.backward_input(1)
        order.weight(1)
    _v_cool_down(order, rank, ranks)
    return [op for op in order.ops if op.chunk.microbatch < microbatches]


def _v_warm_up(order: RankOrder, rank: int, ranks: int) -> None:
    for _ in range(2 * (ranks - rank) - 1):
        order.forward(0)
    for _ in range(rank):
        order.forward(1)
        order.forward(0)
    for _ in range(ranks - rank):
        order.forward(1)
        order.backward_input(1)
        order.weight(1)


def _v_cool_down(order: RankOrder, rank: int, ranks: int) -> None:
    for _ in range(rank):
        order.backward_input(0)
        order.backward_input(1)
    for _ in range(ranks - rank):
        order.backward_input(0)
        order.weight(0)
    for slot in (1, 0):
        while order.pending(slot):
            order.weight(slot)
