"""The names of the schedules, and who holds which stage in each."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from dualpipe_ref.schedule.errors import InputError, shortened
from dualpipe_ref.schedule.work import Placement

# Stages that each rank holds, copies counted, and the placement for a number of ranks.
# The model of interleaved goes round as often as its caller asks; None stands for that.
_KINDS: dict[str, tuple[int | None, Callable[[int], Placement]]] = {
    "gpipe": (1, Placement.linear),
    "1f1b": (1, Placement.linear),
    "interleaved": (None, Placement.linear),
    "zb-h1": (1, Placement.linear),
    "zb-v": (2, Placement.v_shape),
    "chimera": (2, Placement.bidirectional),
    "dualpipe": (2, Placement.bidirectional),
    "dualpipev": (2, Placement.v_shape),
}

KINDS = tuple(_KINDS)
DEFAULT_CHUNKS = 2


def check_kind(kind: object) -> str:
    """Return `kind` if it names a schedule, else raise `InputError` with the nearest name.

    >>> check_kind("zbv")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a schedule is one of gpipe, 1f1b, interleaved, zb-h1, zb-v, \
chimera, dualpipe, dualpipev; got 'zbv'; nearest legal: 'zb-v'
    """
    if isinstance(kind, str) and kind in _KINDS:
        return kind
    nearest = (get_close_matches(shortened(kind).lower(), KINDS, n=1, cutoff=0) or ["dualpipe"])[0]
    raise InputError(f"a schedule is one of {', '.join(KINDS)}", shortened(kind), repr(nearest))


def slots_of(kind: str, chunks: int | None = None) -> int:
    """Stages a rank: fixed by the kind, or `chunks` (default 2) where the kind leaves it open.

    >>> slots_of("dualpipev"), slots_of("interleaved", 3)
    (2, 3)
    """
    fixed = _KINDS[check_kind(kind)][0]
    if fixed is None:
        return DEFAULT_CHUNKS if chunks is None else chunks
    if chunks is not None and (type(chunks) is not int or chunks != fixed):
        raise InputError(
            f"{kind} has {fixed} stage{'s' if fixed > 1 else ''} a rank",
            f"chunks = {shortened(chunks)}",
            f"chunks = {fixed}",
        )
    return fixed


def has_open_slots(kind: str) -> bool:
    """Whether the stages a rank are for the caller to choose.

    >>> has_open_slots("interleaved"), has_open_slots("zb-v")
    (True, False)
    """
    return _KINDS[check_kind(kind)][0] is None


def placement_of(kind: str, ranks: int, slots: int) -> Placement:
    """Who holds which stage.

    >>> placement_of("interleaved", 2, 2).routes[0]
    ((0, 0), (1, 0), (0, 1), (1, 1))
    """
    fixed, placement = _KINDS[check_kind(kind)]
    return Placement.looped(ranks, slots) if fixed is None else placement(ranks)
