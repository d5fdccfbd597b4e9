"""A machine-checked proof of DualPipe's closed form, for all costs of its domain and all m.

The proof, for one (P, m). A makespan is the longest of many paths, each a sum of costs: a convex
function of the costs. The closed form is linear in each of four cones (W against I, H F against
(H-1)I). A convex function that equals a linear one on all edges of a cone is nowhere above it
inside; and four paths with the lengths of the closed form show that it is nowhere below. So to check the
edges, a dozen sets of costs, is to check all costs. For all m: at each edge, from the
third on, every round of step 4 repeats the one before 2 FB later on every rank; a round needs
nothing but its own and the round before; so one more micro-batch adds 2 FB to everything after.
"""

# The letters of the formulas.
# ruff: noqa: N803, N806

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from dualpipe_ref.schedule import Op, Schedule
from dualpipe_ref.simulate import find_formula

from .cones import Vector, all_edges, closed_form, dot, run
from .strategies import cached_build


def way_in(H: int) -> list[Vector]:
    """Paths to the middle rank's first B: down its end of the pipeline and through its own 2H + 1
    forwards; or the first micro-batch to the last stage and its gradient back."""
    return [(3 * H, 0, 0, 0, 0), (2 * H, H - 1, 0, 0, 0)]


def way_out(H: int) -> list[Vector]:
    """Paths from the middle rank's last FB: its forward out to the outermost rank, all FBs, then the
    gradients of the last micro-batch back through every stage; or that rank's own last ops."""
    return [(0, 2 * H - 1, 1, 1, H - 1), (0, H, H, 1, H - 1)]


def paths(H: int, n: int) -> Iterator[Vector]:
    middle = (0, 0, 0, 1, 2 * n - 2 * H - 1)
    for first in way_in(H):
        for last in way_out(H):
            yield tuple(map(sum, zip(first, middle, last, strict=True)))


@pytest.mark.parametrize("H", range(2, 6))
def test_the_closed_form_is_the_longest_of_four_paths(H: int) -> None:
    for n in (2 * H - 1, 2 * H + 3):
        for costs in all_edges(H) | {(7, 5, 3, 9, 11), (5, 7, 9, 17, 20)}:
            assert closed_form(H, n, costs) == max(dot(path, costs) for path in paths(H, n))


def check_edges(H: int, n: int) -> None:
    schedule = cached_build("dualpipev", H, n)
    for costs in all_edges(H):
        assert run(schedule, costs).makespan == closed_form(H, n, costs), (H, n, costs)


@pytest.mark.parametrize("H", range(2, 5))
def test_all_costs_by_the_edges_of_the_cones(H: int) -> None:
    assert len(all_edges(H)) >= 10
    for n in range(2 * H - 1, 2 * H + 3):
        check_edges(H, n)


@pytest.mark.slow
@pytest.mark.parametrize("H", range(5, 9))
def test_all_costs_by_the_edges_of_the_cones_for_more_ranks(H: int) -> None:
    for n in range(2 * H - 1, 2 * H + 3):
        check_edges(H, n)


def rounds(schedule: Schedule, rank: int) -> list[int]:
    """Places of the second op of each round of step 4, an FB, on this rank."""
    H, n = schedule.ranks, schedule.microbatches
    pairs = [place for place, op in enumerate(schedule.ops[rank]) if op.kind == "FB"]
    count = n - 2 * H + rank + 1
    skipped = 1 if rank == H - 1 else 0  # its first round is F, B, FB
    return pairs[1 - skipped : 2 * count - skipped : 2]


@pytest.mark.parametrize("H", range(2, 7))
def test_all_microbatches_by_the_period_of_the_steady_state(H: int) -> None:
    schedule = cached_build("dualpipev", H, 2 * H + 4)
    for costs in all_edges(H):
        end = run(schedule, costs).end
        for rank in range(H):
            places = rounds(schedule, rank)
            assert len(places) == rank + 5
            for one, two in pairwise(places[2:]):
                assert end[rank, two] - end[rank, one] == 2 * costs[4]
                assert end[rank, two - 1] - end[rank, one - 1] == 2 * costs[4]


def is_a_path(schedule: Schedule, ops: list[tuple[int, Op]]) -> bool:
    """Whether each op needs the one before it, or follows it on its rank."""
    inputs = run(schedule, (1, 1, 1, 1, 1)).inputs
    places = [(rank, schedule.ops[rank].index(op)) for rank, op in ops]
    return all(
        two == (one[0], one[1] + 1) or one in [node for node, _ in inputs[two]]
        for one, two in pairwise(places)
    )


def lower_bound(schedule: Schedule, by_middle: bool, by_last_rank: bool) -> list[tuple[int, Op]]:
    """The ops of one of the four paths."""
    H, n = schedule.ranks, schedule.microbatches
    find = {
        (rank, what, slot, microbatch): op
        for rank, ops in enumerate(schedule.ops)
        for op in ops
        for what, slot, microbatch in _work(op)
    }
    middle, outer = schedule.ops[H - 1], schedule.ops[0]
    first_b = next(place for place, op in enumerate(middle) if op.kind == "B")
    last_fb = max(place for place, op in enumerate(middle) if op.kind == "FB")
    steps: list[tuple[int, Op]] = []
    if by_middle:
        steps += [(rank, find[rank, "F", 0, 0]) for rank in range(H - 1)]
        steps += [(H - 1, op) for op in middle[:first_b]]
    else:
        steps += [(rank, find[rank, "F", 0, 0]) for rank in range(H)]
        steps += [(rank, find[rank, "F", 1, 0]) for rank in reversed(range(H))]
        steps += [(rank, find[rank, "I", 1, 0]) for rank in range(H - 1)]
    steps += [(H - 1, op) for op in middle[first_b : last_fb + 1]]
    steps += [(rank, find[rank, "F", 1, n - 1]) for rank in reversed(range(H - 1))]
    if by_last_rank:
        last = max(place for place, op in enumerate(outer) if op.kind == "FB")
        return steps + [(0, op) for op in outer[last + 1 :]]
    steps += [(rank, find[rank, "I", 1, n - 1]) for rank in range(H)]
    steps += [(rank, find[rank, "I", 0, n - 1]) for rank in reversed(range(H))]
    return [*steps, (0, find[0, "W", 0, n - 1])]


def _work(op: Op) -> Iterator[tuple[str, int, int]]:
    if op.forward is not None:
        yield "F", op.forward.slot, op.forward.microbatch
    if op.backward is not None:
        yield "W" if op.kind == "W" else "I", op.backward.slot, op.backward.microbatch


@pytest.mark.parametrize("H", range(2, 9))
def test_the_four_paths_exist(H: int) -> None:
    """So the closed form is a lower bound for all costs whatsoever."""
    for n in (2 * H - 1, 2 * H, 2 * H + 5):
        schedule, lengths = cached_build("dualpipev", H, n), set()
        for by_middle in (True, False):
            for by_last_rank in (True, False):
                ops = lower_bound(schedule, by_middle, by_last_rank)
                assert is_a_path(schedule, ops)
                kinds = [op.kind for _, op in ops]
                lengths.add(tuple(kinds.count(kind) for kind in ("F", "I", "W", "B", "FB")))  # type: ignore[arg-type]
        assert lengths == set(paths(H, n))


def test_a_wrong_term_is_seen_at_the_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 H F instead of max(H F, (H-1)I) + H F: at F = I = W = 1 it is the same."""
    formula = find_formula("dualpipev", "makespan", "exact")
    value = formula._value
    wrong = lambda c: value(c) - max(0, (c.H - 1) * c.I - c.H * c.F)  # noqa: E731
    monkeypatch.setitem(formula.__dict__, "_value", wrong)
    with pytest.raises(AssertionError):
        check_edges(3, 6)
