"""Which of DualPipe's eight steps each op of a schedule belongs to."""

from __future__ import annotations

from dualpipe_ref.schedule.dualpipe import dualpipe, steps_of
from dualpipe_ref.schedule.dualpipev import dualpipev
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Op, Schedule


def steps_of_ranks(schedule: Schedule) -> list[tuple[int, ...]]:
    """For each rank the steps (1 to 8) of its ops; none where it does not run the published order.

    >>> steps_of_ranks(dualpipev(2, 4))[1]
    (2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8)
    >>> from dualpipe_ref.schedule import build
    >>> steps_of_ranks(build("1f1b", 2, 4))
    [(), ()]
    """
    published = _published(schedule)
    return [
        _steps(schedule, rank) if published and ops == published[rank] else ()
        for rank, ops in enumerate(schedule.ops)
    ]


def _published(schedule: Schedule) -> tuple[tuple[Op, ...], ...]:
    """The published order of the same kind and size; empty where there is none."""
    builders = {"dualpipe": dualpipe, "dualpipev": dualpipev}
    if schedule.kind not in builders:
        return ()
    try:
        return builders[schedule.kind](schedule.ranks, schedule.microbatches).ops
    except InputError:
        return ()


def _steps(schedule: Schedule, rank: int) -> tuple[int, ...]:
    n, ranks = schedule.microbatches_per_direction, schedule.ranks
    if schedule.kind == "dualpipev":
        return steps_of(rank, ranks, n)
    return steps_of(min(rank, ranks - 1 - rank), ranks // 2, n)
