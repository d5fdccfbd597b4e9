"""Which step an op belongs to: the repeats of the published table, stated anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, repeat

import pytest

from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.dualpipe import steps_of
from dualpipe_ref.schedule.steps import steps_of_ranks


def published_lengths(h: int, half: int, n: int) -> list[int]:
    """How many ops each step has; the middle's first pair is parted and so counts once more."""
    to_middle, rounds = half - h - 1, n - 2 * half + h + 1
    fourth = 2 * rounds + (to_middle == 0 and rounds > 0)
    return [
        2 * to_middle,
        2 * (h + 1),
        3 * to_middle,
        fourth,
        2 * to_middle,
        2 * (h + 1),
        2 * to_middle,
        h + 1,
    ]


def expected(h: int, half: int, n: int) -> tuple[int, ...]:
    return tuple(chain(*map(repeat, range(1, 9), published_lengths(h, half, n))))


@pytest.mark.parametrize("ranks", range(2, 15, 2))
def test_dualpipe(ranks: int) -> None:
    for m in range(2 * ranks - 2, 4 * ranks, 2):
        found = steps_of_ranks(build("dualpipe", ranks, m))
        distances = [min(rank, ranks - 1 - rank) for rank in range(ranks)]
        assert found == [expected(h, ranks // 2, m // 2) for h in distances]


@pytest.mark.parametrize("ranks", range(2, 9))
def test_dualpipev(ranks: int) -> None:
    for m in range(2 * ranks - 1, 4 * ranks):
        found = steps_of_ranks(build("dualpipev", ranks, m))
        assert found == [expected(h, ranks, m) for h in range(ranks)]


def test_another_order_has_no_steps() -> None:
    """One op is exchanged on rank 1: nothing can be said about its steps, the others keep theirs."""
    schedule = build("dualpipe", 4, 8)
    first, second, *others = schedule.ops[1]
    ops = (schedule.ops[0], (second, first, *others), *schedule.ops[2:])
    found = steps_of_ranks(replace(schedule, ops=ops))
    assert found[1] == ()
    assert found[0] == steps_of(0, 2, 4)


def test_a_size_that_the_kind_has_not() -> None:
    schedule = replace(build("chimera", 4, 4), kind="dualpipe")
    assert steps_of_ranks(schedule) == [()] * 4


def test_a_wrong_length_is_seen() -> None:
    wrong = [length + (step == 3) for step, length in enumerate(published_lengths(1, 4, 10))]
    assert tuple(chain(*map(repeat, range(1, 9), wrong))) != steps_of(1, 4, 10)
