"""Chimera: two copies of the model, one pipeline from each end (Li & Hoefler 2021, arXiv:2107.06925)."""

from __future__ import annotations

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import Op, Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.rank_order import RankOrder


def chimera(ranks: int, microbatches: int) -> Schedule:
    """Chimera for even P = `ranks` and m = `microbatches` a multiple of P.

    Units of P micro-batches, P/2 a direction, follow each other by direct concatenation (section 3.5
    of the paper); forward doubling is not used.

    >>> print(*chimera(2, 2).ops[0])
    F0.0 F1.0 B1.0 B0.0
    """
    require_int("P", ranks, 2)
    if ranks % 2:
        raise InputError(
            "Chimera needs an even number of ranks", f"P = {ranks}", f"P = {ranks + 1}"
        )
    require_int("m", microbatches, 1, least_legal=ranks)
    if microbatches % ranks:
        nearest = max(1, round(microbatches / ranks)) * ranks
        raise InputError(
            "Chimera needs m to be a multiple of P",
            f"P = {ranks}, m = {microbatches}",
            f"m = {nearest}",
        )
    units = microbatches // ranks
    return assemble("chimera", ranks, microbatches, lambda rank: _rank_ops(rank, ranks, units))


def _rank_ops(rank: int, ranks: int, units: int) -> list[Op]:
    """Ops sorted by the time slot they have when F and B take one slot each.

    A micro-batch enters its direction every second slot, so with P even the two directions use slots
    of opposite parity on every rank, and no two ops of a rank share a slot. Each unit enters 2P slots
    after the one before it: its first forwards fill the gaps between that unit's last backwards.
    """
    turns = []
    for entry in range(0, units * 2 * ranks, 2 * ranks):
        for slot, stage in enumerate((rank, ranks - 1 - rank)):
            for wait in range(entry, entry + ranks, 2):
                turns.append((wait + stage, slot, "F"))
                turns.append((wait + 2 * ranks - 1 - stage, slot, "B"))
    order = RankOrder(slots=2)
    for _, slot, work in sorted(turns):
        if work == "F":
            order.forward(slot)
        else:
            order.backward(slot)
    return order.ops
