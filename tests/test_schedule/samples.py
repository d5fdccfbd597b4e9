"""Schedules of every kind, and the sizes that each kind takes."""

from __future__ import annotations

from functools import cache

from dualpipe_ref.schedule import KINDS, Schedule, build

cached_build = cache(build)
Size = tuple[str, int, int, int | None]


def sizes(kind: str, ranks: range, microbatches: range) -> list[Size]:
    """Every (kind, P, m, chunks) in these ranges that the kind takes. The rules are stated anew here."""
    pairs = [(P, m) for P in ranks for m in microbatches if P >= 2 and m >= 1]
    if kind == "interleaved":
        return [(kind, P, m, v) for P, m in pairs if m % max(1, m // P) == 0 for v in (2, 3)]
    if kind == "dualpipe":
        pairs = [(P, m) for P, m in pairs if P % 2 == 0 and m % 2 == 0 and m >= 2 * P - 2]
    elif kind == "dualpipev":
        pairs = [(P, m) for P, m in pairs if m >= 2 * P - 1]
    elif kind == "chimera":
        pairs = [(P, m) for P, m in pairs if P % 2 == 0 and m % P == 0]
    return [(kind, P, m, None) for P, m in pairs]


def all_sizes(ranks: range, microbatches: range) -> list[Size]:
    return [size for kind in KINDS for size in sizes(kind, ranks, microbatches)]


def schedule_of(size: Size) -> Schedule:
    return cached_build(*size)
