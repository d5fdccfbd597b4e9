"""GPipe and 1F1B: for one rank, what it computes in which order."""

from __future__ import annotations

# ("F" or "B", slot, microbatch). A rank holds one stage here, so the slot is always 0.
Op = tuple[str, int, int]


def gpipe(rank: int, ranks: int, microbatches: int) -> list[Op]:
    """All forwards, then all backwards: the same on every rank."""
    # skeleton: begin
    forwards = [("F", 0, microbatch) for microbatch in range(microbatches)]
    backwards = [("B", 0, microbatch) for microbatch in range(microbatches)]
    return forwards + backwards
    # skeleton: end


def one_f_one_b(rank: int, ranks: int, microbatches: int) -> list[Op]:
    """1F1B: warm up with a forward for each rank below, then take turns, then finish the backwards."""
    # skeleton: begin
    # Micro-batch 0 passes P - r - 1 ranks below this one before its gradient comes back. A rank
    # that has run so many forwards has just what it takes to stay busy until then, and with the
    # one of the first turn it holds P - r. A short step may have fewer micro-batches than that.
    warm_up = min(ranks - rank - 1, microbatches)
    ops: list[Op] = [("F", 0, microbatch) for microbatch in range(warm_up)]
    for turn in range(microbatches):
        if warm_up + turn < microbatches:
            ops.append(("F", 0, warm_up + turn))
        ops.append(("B", 0, turn))
    return ops
    # skeleton: end
