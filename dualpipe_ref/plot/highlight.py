"""What to point at in a picture: ops, and arrows between them. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Schedule

Place = tuple[int, int]  # (rank, index among the ops of that rank)


@dataclass(frozen=True)
class Highlight:
    """Ops to outline, as (rank, index in `schedule.ops[rank]`), and arrows from op to op.

    The places of the verifier's violations are such ops too: `Highlight.cycle(violation.cycle)`.
    The index after a rank's last op stands for the rank's end; it can have arrows, but no outline.

    >>> Highlight.cycle([(0, 4), (1, 2)]).arrows
    (((0, 4), (1, 2)), ((1, 2), (0, 4)))
    """

    ops: tuple[Place, ...] = ()
    arrows: tuple[tuple[Place, Place], ...] = ()

    @classmethod
    def path(cls, ops: Iterable[Sequence[Any]]) -> Highlight:
        """Ops with an arrow from each to the next, such as a critical path."""
        places = _places(ops)
        return cls(places, tuple(pairwise(places)))

    @classmethod
    def cycle(cls, ops: Iterable[Sequence[Any]]) -> Highlight:
        """A path that returns to its first op, such as the waits of a deadlock."""
        places = _places(ops)
        return cls(places, tuple(pairwise((*places, *places[:1]))))


def as_highlight(
    wanted: Highlight | Iterable[Sequence[Any]] | None, schedule: Schedule
) -> Highlight:
    """`wanted` as a Highlight of places that `schedule` has, else `InputError`.

    >>> from dualpipe_ref.schedule import build
    >>> as_highlight([(2, 0)], build("1f1b", 2, 2))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a highlight names a rank and the index of one of its ops; got (2, 0); nearest legal: (1, 0)
    """
    highlight = wanted if isinstance(wanted, Highlight) else Highlight(_places(wanted or ()))
    for place in (*highlight.ops, *(end for arrow in highlight.arrows for end in arrow)):
        rank = min(max(place[0], 0), schedule.ranks - 1)
        nearest = (rank, min(max(place[1], 0), len(schedule.ops[rank])))
        if place != nearest:
            raise InputError(
                "a highlight names a rank and the index of one of its ops",
                str(place),
                str(nearest),
            )
    return highlight


def _places(ops: Iterable[Sequence[Any]]) -> tuple[Place, ...]:
    return tuple((rank, index) for rank, index, *_ in ops)
