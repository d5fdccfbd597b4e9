"""DualPipe: two directions meet, and forwards overlap backwards (DeepSeek-V3 report, arXiv:2412.19437, 3.2.1)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import Op, OpKind, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def dualpipe(ranks: int, microbatches: int) -> Schedule:
    """DualPipe for even P = `ranks` and even m = `microbatches` >= 2P - 2, half of them in each direction.

    The order is the released code's, which asks for m >= 2P; one step lower still works.

    >>> print(*dualpipe(2, 4).ops[0])
    F0.0 F1.0 F0.1 B1.0 FB(F1.1, B0.0) B1.1 I0.1 W0.1
    """
    check_dualpipe(ranks, microbatches)
    return assemble(
        "dualpipe", ranks, microbatches, lambda rank: _rank_ops(rank, ranks, microbatches)
    )


def check_dualpipe(ranks: int, microbatches: int) -> None:
    """Raise `InputError` unless P is even, m is even and m >= 2P - 2."""
    require_int("P", ranks, 2)
    if ranks % 2:
        raise InputError(
            "DualPipe needs an even number of ranks", f"P = {ranks}", f"P = {ranks + 1}"
        )
    require_int("m", microbatches, 1, least_legal=2 * ranks - 2)
    if microbatches % 2 or microbatches < 2 * ranks - 2:
        nearest = max(2 * ranks - 2, microbatches + microbatches % 2)
        raise InputError(
            "DualPipe needs m even and at least 2P - 2",
            f"P = {ranks}, m = {microbatches}",
            f"m = {nearest}",
        )


def _rank_ops(rank: int, ranks: int, microbatches: int) -> list[Op]:
    """On the second half of the ranks the near direction is direction 1: the first half, mirrored."""
    distance = min(rank, ranks - 1 - rank)
    near, far = (0, 1) if rank < ranks // 2 else (1, 0)
    return eight_steps(distance, ranks // 2, microbatches // 2, near, far).ops


def eight_steps(h: int, half: int, n: int, near: int, far: int) -> RankOrder:
    """The order of a rank `h` places from its end, for `n` micro-batches a direction, and its steps.

    `near` is the slot whose micro-batches enter at this end, `far` the other; `half`
    ranks lie between an end and the turning point (P/2 in DualPipe, P in DualPipeV).
    """
    order = RankOrder(slots=2)
    to_middle = half - h - 1

    order.begin_step()  # 1. Fill this end of the pipeline with forwards.
    for _ in range(2 * to_middle):
        order.forward(near)
    order.begin_step()  # 2. The other direction's forwards arrive.
    for _ in range(h + 1):
        order.forward(near)
        order.forward(far)
    order.begin_step()  # 3. Its backwards return; W fills the wait for its next forward.
    for _ in range(to_middle):
        order.backward_input(far)
        order.weight()
        order.forward(far)
    order.begin_step()  # 4. The steady state: forwards run with backwards of the other direction.
    for turn in range(n - 2 * half + h + 1):
        if turn == 0 and to_middle == 0:
            # The released order does not overlap the middle's first pair.
            order.forward(near)
            order.backward(far)
        else:
            order.overlapped(near, far)
        order.overlapped(far, near)
    order.begin_step()  # 5. The near forwards are used up.
    for _ in range(to_middle):
        order.backward(far)
        order.overlapped(far, near)
    order.begin_step()  # 6. Only backwards are left; the second half of them defers W.
    for turn in range(2 * (h + 1)):
        slot = near if turn % 2 else far
        if turn < h + 1:
            order.backward(slot)
        else:
            order.backward_input(slot)
    order.begin_step()  # 7. W fills the wait for the last gradients.
    for _ in range(to_middle):
        order.weight()
        order.backward_input(near)
    order.begin_step()  # 8. The last weight gradients.
    for _ in range(h + 1):
        order.weight()
    return order


def steps_of(h: int, half: int, n: int) -> tuple[int, ...]:
    """Which of the eight steps (1 to 8) each op of `eight_steps` belongs to.

    >>> steps_of(h=1, half=2, n=4)
    (2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8)
    """
    return eight_steps(h, half, n, near=0, far=1).steps


def overlap_first_pair(schedule: Schedule) -> Schedule:
    """The same order, but the middle ranks of a DualPipe run their first F and B as one FB.

    >>> print(*overlap_first_pair(dualpipe(2, 4)).ops[0])
    F0.0 F1.0 FB(F0.1, B1.0) FB(F1.1, B0.0) B1.1 I0.1 W0.1
    """
    middle = schedule.ranks // 2 - 1, schedule.ranks // 2

    def rank_ops(rank: int) -> list[Op]:
        ops = list(schedule.ops[rank])
        if rank in middle:
            first = next(place for place, op in enumerate(ops) if op.kind is OpKind.B)
            pair = Op(OpKind.FB, ops[first - 1].forward, ops[first].backward)
            ops[first - 1 : first + 1] = [pair]
        return ops

    return assemble("dualpipe", schedule.ranks, schedule.microbatches, rank_ops)
