# rejected by memory: GPipe's order: the same makespan, and everything is held

from __future__ import annotations

from fractions import Fraction

Op = tuple[str, int, int]


def interleaved(rank: int, ranks: int, microbatches: int, chunks: int) -> list[Op]:
    total = chunks * microbatches
    forward_slots = [count // ranks % chunks for count in range(total)]
    backward_slots = [chunks - 1 - slot for slot in forward_slots]
    warm_up = total
    forwards, backwards = numbered("F", forward_slots), numbered("B", backward_slots)
    ops = forwards[:warm_up]
    for turn, backward in enumerate(backwards):
        ops += [*forwards[warm_up + turn : warm_up + turn + 1], backward]
    return ops


def numbered(kind: str, slots: list[int]) -> list[Op]:
    count = dict.fromkeys(slots, 0)
    ops = []
    for slot in slots:
        ops.append((kind, slot, count[slot]))
        count[slot] += 1
    return ops


def makespan(
    ranks: int,
    microbatches: int,
    chunks: int,
    forward: Fraction,
    backward: Fraction,
    latency: Fraction,
) -> Fraction:
    turn = forward + backward
    if chunks == 1:  # 1F1B: of P turns all but one wait for a message down and one back
        turns = microbatches + ranks - 1
        zigzags = -(-turns // ranks)
        return turns * turn + 2 * (turns - zigzags) * latency
    ramp = ranks - 1
    return microbatches * turn + Fraction(ramp, chunks) * turn + 2 * (chunks * ranks - 1) * latency


def best_chunks(
    ranks: int,
    microbatches: int,
    forward: Fraction,
    backward: Fraction,
    latency: Fraction,
    layers: int,
) -> int:
    legal = [chunks for chunks in range(1, layers + 1) if layers % chunks == 0]
    return min(
        legal,
        key=lambda chunks: makespan(ranks, microbatches, chunks, forward, backward, latency),
    )
