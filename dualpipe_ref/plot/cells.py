"""From a timeline to the cells of its picture. Standard library only, exact in exact numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.schedule.ir import OpKind, Schedule
from dualpipe_ref.simulate.costs import Costs, Number
from dualpipe_ref.simulate.timeline import Timeline


class Cell(NamedTuple):
    """One box of the picture: F, B, I or W of one micro-batch, from `start` for `width`.

    `microbatch` counts from 0 in each direction. Two cells with `part_of_overlap`, an F and the B
    after it, stand for one FB.
    """

    rank: int
    start: Number
    width: Number
    kind: OpKind
    slot: int
    microbatch: int
    part_of_overlap: bool = False


class Stretch(NamedTuple):
    """Neighbouring cells of one kind on one rank, told no further apart; FB is a kind here."""

    rank: int
    start: Number
    end: Number
    kind: OpKind


def cells(timeline: Timeline, costs: Costs | None = None) -> list[Cell]:
    """The cells of `timeline`, rank by rank, in order of time.

    An FB becomes an F cell and then a B cell. They ran at once; the F cell is given the share
    F / (F + B) of the width by these costs, 1/3 where none are given.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> timeline = simulate(build("dualpipe", ranks=2, microbatches=4), Costs(FB=3))
    >>> for cell in cells(timeline)[4:6]:
    ...     print(*cell)
    0 5 1 F 1 1 True
    0 6 2 B 0 0 True
    """
    costs = costs or Costs(F=1, B=2)
    costs.check_fits(timeline.schedule)
    return [
        cell for rank in range(timeline.schedule.ranks) for cell in _of_rank(timeline, rank, costs)
    ]


def _of_rank(timeline: Timeline, rank: int, costs: Costs) -> Iterator[Cell]:
    for op, start, end in timeline.spans[rank]:
        width = end - start
        if op.forward and op.backward:
            share = forward_share(timeline.schedule, rank, op.forward.slot, op.backward.slot, costs)
            forward = _times(width, share)
            yield Cell(rank, start, forward, OpKind.F, *op.forward, True)
            yield Cell(rank, start + forward, width - forward, OpKind.B, *op.backward, True)
        else:
            yield Cell(rank, start, width, op.kind, *op.chunk)


def forward_share(
    schedule: Schedule, rank: int, forward_slot: int, backward_slot: int, costs: Costs
) -> Fraction:
    """The part of an FB's width that its forward gets: F / (F + B) of the two stages.

    >>> from dualpipe_ref.schedule import build
    >>> forward_share(build("dualpipe", 2, 4), 0, 0, 1, Costs(F=1, B=2))
    Fraction(1, 3)
    """
    homes = schedule.placement.homes[rank]
    forward = Fraction(costs.of(OpKind.F, forward_stage=homes[forward_slot][1]))
    backward = Fraction(costs.of(OpKind.B, backward_stage=homes[backward_slot][1]))
    return forward / (forward + backward)


def _times(width: Number, share: Fraction) -> Number:
    """`width` times `share`: a float for a float, else exact, and an int where it is whole."""
    if isinstance(width, float):
        return width * float(share)
    part = width * share
    return part.numerator if part.denominator == 1 else part


def stretches(drawn: Iterable[Cell], gap: Number = 0) -> list[Stretch]:
    """Join neighbouring cells of one kind at most `gap` apart, for pictures with tiny cells.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> drawn = cells(simulate(build("gpipe", ranks=2, microbatches=4)))
    >>> [(joined.start, joined.end, str(joined.kind)) for joined in stretches(drawn)[:2]]
    [(0, 4, 'F'), (7, 15, 'B')]
    """
    joined: list[Stretch] = []
    for cell in drawn:
        kind = OpKind.FB if cell.part_of_overlap else cell.kind
        end = cell.start + cell.width
        last = joined[-1] if joined else None
        if last and (last.rank, last.kind) == (cell.rank, kind) and cell.start - last.end <= gap:
            joined[-1] = last._replace(end=end)
        else:
            joined.append(Stretch(cell.rank, cell.start, end, kind))
    return joined
