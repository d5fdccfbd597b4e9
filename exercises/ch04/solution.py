"""Interleaved 1F1B: for one rank, what it computes in which order; and how many stages a rank are best."""

from __future__ import annotations

from fractions import Fraction

# ("F" or "B", slot, microbatch). Slot k is the rank's k-th stage, stage k * P + rank of the model.
Op = tuple[str, int, int]


def interleaved(rank: int, ranks: int, microbatches: int, chunks: int) -> list[Op]:
    """The ops of `rank`, which holds `chunks` >= 2 stages; `microbatches` is a multiple of `ranks`."""
    # skeleton: begin
    total = chunks * microbatches
    # In rounds of P: by the time the last of P micro-batches has left this slot, the first has come
    # round through all ranks and is due in the next one.
    forward_slots = [count // ranks % chunks for count in range(total)]
    backward_slots = [chunks - 1 - slot for slot in forward_slots]
    # Micro-batch 0 reaches the last slot after chunks - 1 rounds. Then one forward for each rank below
    # would keep this one busy; the second is what there is to do when a gradient is late.
    warm_up = min((chunks - 1) * ranks + 2 * (ranks - 1 - rank), total)
    forwards, backwards = numbered("F", forward_slots), numbered("B", backward_slots)
    ops = forwards[:warm_up]
    for turn, backward in enumerate(backwards):
        ops += [*forwards[warm_up + turn : warm_up + turn + 1], backward]
    return ops
    # skeleton: end


# skeleton: begin
def numbered(kind: str, slots: list[int]) -> list[Op]:
    """Ops of one kind through these slots; each slot counts its micro-batches from 0."""
    count = dict.fromkeys(slots, 0)
    ops = []
    for slot in slots:
        ops.append((kind, slot, count[slot]))
        count[slot] += 1
    return ops


# skeleton: end


def makespan(
    ranks: int,
    microbatches: int,
    chunks: int,
    forward: Fraction,
    backward: Fraction,
    latency: Fraction,
) -> Fraction:
    """When the step ends. `forward` and `backward` are the times of all that a rank holds, in one piece or in `chunks`."""
    # skeleton: begin
    turn = forward + backward
    if chunks == 1:  # 1F1B: of P turns all but one wait for a message down and one back
        turns = microbatches + ranks - 1
        zigzags = -(-turns // ranks)
        return turns * turn + 2 * (turns - zigzags) * latency
    ramp = ranks - 1
    return microbatches * turn + Fraction(ramp, chunks) * turn + 2 * (chunks * ranks - 1) * latency
    # skeleton: end


def best_chunks(
    ranks: int,
    microbatches: int,
    forward: Fraction,
    backward: Fraction,
    latency: Fraction,
    layers: int,
) -> int:
    """How many stages to cut the `layers` layers of a rank into: the fewest that end the step earliest."""
    # skeleton: begin
    legal = [chunks for chunks in range(1, layers + 1) if layers % chunks == 0]
    return min(
        legal,
        key=lambda chunks: makespan(ranks, microbatches, chunks, forward, backward, latency),
    )
    # skeleton: end
