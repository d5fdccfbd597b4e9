# rejected by units: the next unit enters when the last gradient is back

from __future__ import annotations

Op = tuple[str, int, int]


def homes(rank: int, ranks: int) -> list[tuple[int, int]]:
    return [(0, rank), (1, ranks - 1 - rank)]


def chimera(rank: int, ranks: int, microbatches: int) -> list[Op]:
    turns = []
    for direction, stage in homes(rank, ranks):
        for microbatch in range(microbatches // 2):
            unit, place = divmod(microbatch, ranks // 2)
            entry = 3 * ranks * unit + 2 * place
            turns.append((entry + stage, "F", direction, microbatch))
            turns.append((entry + 2 * ranks - 1 - stage, "B", direction, microbatch))
    return [op for _, *op in sorted(turns)]


def exchanges(rank: int, routes: list[list[int]]) -> list[tuple[int, int]]:
    meetings = []
    for stage, (down, up) in enumerate(zip(*routes, strict=True)):
        if rank in (down, up) and down != up:
            meetings.append((stage, up if rank == down else down))
    return meetings


def total(parts: list[tuple[int, int, float]]) -> float:
    sums = {}
    for direction, _, value in sorted(parts):
        sums[direction] = sums.get(direction, 0.0) + value
    return sums[0] + sums[1]
