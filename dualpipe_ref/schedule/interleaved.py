"""Interleaved 1F1B: the model goes round the ranks v times (Narayanan et al. 2021, arXiv:2104.04473)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def interleaved(ranks: int, microbatches: int, chunks: int = 2) -> Schedule:
    """Interleaved 1F1B for P = `ranks` >= 2, v = `chunks` >= 2 stages a rank.

    Micro-batches go in rounds of about P: with max(1, m // P) rounds, m must be a multiple of their
    number. The order is the one that torch.distributed.pipelining's ScheduleInterleaved1F1B computes.

    >>> print(*interleaved(2, 2).ops[1])
    F0.0 F0.1 F1.0 B1.0 F1.1 B1.1 B0.0 B0.1
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1)
    require_int("chunks", chunks, 2)
    per_round = _microbatches_per_round(ranks, microbatches)

    def rank_ops(rank: int) -> list[Op]:
        return _rank_ops(rank, ranks, microbatches, chunks, per_round)

    return assemble("interleaved", ranks, microbatches, rank_ops, chunks)


def _microbatches_per_round(ranks: int, microbatches: int) -> int:
    rounds = max(1, microbatches // ranks)
    if microbatches % rounds:
        raise InputError(
            "interleaved micro-batches must divide evenly into max(1, m // P) rounds",
            f"P = {ranks}, m = {microbatches}, {rounds} rounds",
            f"m = {microbatches - microbatches % rounds}",
        )
    return microbatches // rounds


def _rank_ops(rank: int, ranks: int, microbatches: int, slots: int, per_round: int) -> list[Op]:
    """A round sends its micro-batches through slot 0, then slot 1, ...; backwards go the other way."""
    order = RankOrder(slots)
    total = microbatches * slots
    warm_up = min((slots - 1) * per_round + 2 * (ranks - 1 - rank), total)
    forward_slots = [count // per_round % slots for count in range(total)]
    backward_slots = [slots - 1 - slot for slot in forward_slots]
    for slot in forward_slots[:warm_up]:
        order.forward(slot)
    for forward_slot, backward_slot in zip(forward_slots[warm_up:], backward_slots, strict=False):
        order.forward(forward_slot)
        order.backward(backward_slot)
    for slot in backward_slots[total - warm_up :]:
        order.backward(slot)
    return order.ops
