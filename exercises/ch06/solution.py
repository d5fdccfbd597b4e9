"""Chimera: who holds what, what a rank computes in which order, and how both copies get the same gradient."""

from __future__ import annotations

# ("F" or "B", slot, microbatch). The slot is the direction; each direction counts its micro-batches from 0.
Op = tuple[str, int, int]


def homes(rank: int, ranks: int) -> list[tuple[int, int]]:
    """What `rank` holds: (direction, stage) in slot 0, then in slot 1."""
    # skeleton: begin
    return [(0, rank), (1, ranks - 1 - rank)]
    # skeleton: end


def chimera(rank: int, ranks: int, microbatches: int) -> list[Op]:
    """The ops of `rank`; `ranks` is even, `microbatches` a multiple of it, half of them in each direction."""
    # skeleton: begin
    # Where F and B take one slot of time each, a micro-batch that enters in slot t is at stage s in slot
    # t + s, and its gradient is there in slot t + 2P - 1 - s. Micro-batches enter in every second slot;
    # the next unit of P/2 a direction enters 2P slots after the one before.
    turns = []
    for direction, stage in homes(rank, ranks):
        for microbatch in range(microbatches // 2):
            unit, place = divmod(microbatch, ranks // 2)
            entry = 2 * ranks * unit + 2 * place
            turns.append((entry + stage, "F", direction, microbatch))
            turns.append((entry + 2 * ranks - 1 - stage, "B", direction, microbatch))
    return [op for _, *op in sorted(turns)]
    # skeleton: end


def exchanges(rank: int, routes: list[list[int]]) -> list[tuple[int, int]]:
    """Which stages `rank` sums with whom, in order: (stage, the other rank that holds it)."""
    # skeleton: begin
    meetings = []
    for stage, (down, up) in enumerate(zip(*routes, strict=True)):  # the same order on every rank
        if rank in (down, up) and down != up:
            meetings.append((stage, up if rank == down else down))
    return meetings
    # skeleton: end


def total(parts: list[tuple[int, int, float]]) -> float:
    """The sum of all values of (direction, copy, value), the same bits in whatever order they come."""
    # skeleton: begin
    sums = {}
    for direction, _, value in sorted(parts):
        sums[direction] = sums.get(direction, 0.0) + value
    return sums[0] + sums[1]
    # skeleton: end
