"""What each kind of schedule promises: what it holds, what it defers, and that it is a plain value."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import FrozenInstanceError
from itertools import combinations

import pytest

from dualpipe_ref.schedule import KINDS, OpKind, Schedule, build, verify
from dualpipe_ref.schedule.check_bounds import check_order
from dualpipe_ref.schedule.formats import from_dict, to_dict
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import Rule

from .samples import Size, all_sizes, schedule_of, sizes

RANKS, MICROBATCHES = range(2, 9), range(1, 25)


def counted_peaks(schedule: Schedule, until: OpKind) -> list[int]:
    """Chunks per rank from the start of F to the end of I (or of W), counted with sets."""
    peaks_of_ranks = []
    for ops in schedule.ops:
        alive, most = set(), 0
        for op in ops:
            alive |= {op.forward} - {None}
            most = max(most, len(alive))
            ends_here = (until, OpKind.B, OpKind.FB)
            alive -= {op.backward} if op.kind in ends_here else set()
        assert not alive
        peaks_of_ranks.append(most)
    return peaks_of_ranks


@pytest.mark.parametrize("kind", KINDS)
def test_peaks_are_counted_right(kind: str) -> None:
    for size in sizes(kind, RANKS, MICROBATCHES):
        schedule = schedule_of(size)
        assert list(peaks(schedule).activations) == counted_peaks(schedule, OpKind.I), size
        assert list(peaks(schedule).held) == counted_peaks(schedule, OpKind.W), size


def test_gpipe_holds_everything() -> None:
    for size in sizes("gpipe", RANKS, MICROBATCHES):
        assert set(peaks(schedule_of(size)).activations) == {size[2]}


def test_1f1b_holds_what_is_ahead_of_it() -> None:
    for size in sizes("1f1b", RANKS, MICROBATCHES):
        _, ranks, m, _ = size
        expected = tuple(min(ranks - rank, m) for rank in range(ranks))
        assert peaks(schedule_of(size)).activations == expected


def test_zb_h1_holds_no_more_than_1f1b_does_on_rank_0() -> None:
    for size in sizes("zb-h1", RANKS, MICROBATCHES):
        _, ranks, m, _ = size
        held = peaks(schedule_of(size)).held
        assert max(held) == min(ranks, m)
        if m >= ranks:
            assert set(held) == {ranks}


@pytest.mark.parametrize("kind", ["dualpipe", "dualpipev"])
def test_dualpipe_holds_one_more_than_its_stages(kind: str) -> None:
    """PP + 1 on every rank from m = 2P on, also when held until W; one step lower, the ends have PP."""
    for size in sizes(kind, RANKS, MICROBATCHES):
        schedule = schedule_of(size)
        stages, m = schedule.placement.stages, schedule.microbatches
        found = peaks(schedule)
        assert find_violations(schedule, max_activations=stages + 1) == ()
        if m >= 2 * schedule.ranks:
            assert set(found.activations) == set(found.held) == {stages + 1}
            assert find_violations(schedule, max_activations=stages)[0].rule is Rule.ACTIVATIONS
        else:
            assert found.activations[0] == stages


@pytest.mark.parametrize("kind", ["dualpipe", "dualpipev"])
def test_weight_gradients_wait_in_line(kind: str) -> None:
    """First in, first out; never more than h + 1 of them, h places from the rank's end."""
    for size in sizes(kind, RANKS, MICROBATCHES):
        schedule = schedule_of(size)
        assert find_violations(schedule, weights_in_order=True) == ()
        for rank, ops in enumerate(schedule.ops):
            h = min(rank, size[1] - 1 - rank) if kind == "dualpipe" else rank
            assert deepest_queue(ops) == h + 1, size


def deepest_queue(ops: tuple) -> int:
    waiting: deque = deque()
    deepest = 0
    for op in ops:
        if op.kind is OpKind.I:
            waiting.append(op.backward)
        elif op.kind is OpKind.W:
            assert waiting.popleft() == op.backward
        deepest = max(deepest, len(waiting))
    return deepest


def test_bounds_that_do_not_hold_are_named() -> None:
    schedule = build("dualpipe", 8, 20)
    (*_, last) = find_violations(schedule, max_pending_weights=3)
    assert len(find_violations(schedule, max_pending_weights=3)) == 2
    assert str(last).startswith("weight-gradient queue: rank 4 at I")
    assert last.reason == "4 weight gradients are pending; the bound is 3"
    found = find_violations(build("zb-v", 3, 8), weights_in_order=True)
    assert {violation.rule for violation in found} == {Rule.WEIGHTS}
    with pytest.raises(verify.VerificationError, match=r"^activation bound: rank 0 at FB\(F0\.7"):
        verify.verify(schedule, max_activations=8)


@pytest.mark.parametrize("size", all_sizes(range(2, 5), range(4, 7)), ids=lambda size: f"{size}")
def test_any_two_ops_swapped_are_not_the_published_order(size: Size) -> None:
    published = schedule_of(size)
    assert list(check_order(published, published)) == []
    for rank, ops in enumerate(published.ops):
        for one, other in combinations(range(len(ops)), 2):
            swapped = list(ops)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            (found,) = check_order(with_ops(published, rank, tuple(swapped)), published)
            assert found.rule is Rule.PUBLISHED
            assert found.place == (rank, one, ops[other])
            assert found.reason == f"the published {size[0]} has {ops[one]} here"


def with_ops(schedule: Schedule, rank: int, ops: tuple) -> Schedule:
    rows = (*schedule.ops[:rank], ops, *schedule.ops[rank + 1 :])
    batches = list(schedule.batches)
    batches[rank] = (batches[rank] + ((),) * len(ops))[: len(ops) + 1]
    return Schedule(schedule.kind, schedule.placement, schedule.microbatches, rows, tuple(batches))


def test_an_order_that_ends_early_or_late() -> None:
    published = build("1f1b", 2, 2)
    ops = published.ops[1]
    (early,) = check_order(with_ops(published, 1, ops[:-1]), published)
    assert (early.place, early.reason) == ((1, 3, None), "the published 1f1b has B0.1 here")
    (late,) = check_order(with_ops(published, 1, (*ops, ops[0])), published)
    assert (late.place, late.reason) == (
        (1, 4, ops[0]),
        "the published 1f1b has no further op here",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_schedule_is_a_value(kind: str) -> None:
    one, other = build(kind, 4, 8), build(kind, 4, 8)
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, build(kind, 4, 12)}) == 2
    assert one != build(kind, 2, 8)
    with pytest.raises(FrozenInstanceError):
        one.microbatches = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        one.placement.routes = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.ops[0][0] = one.ops[0][1]  # type: ignore[index]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_brings_the_schedule_back(kind: str) -> None:
    for size in sizes(kind, range(2, 6), range(1, 13)):
        schedule = schedule_of(size)
        text = json.dumps(to_dict(schedule))
        loaded = from_dict(json.loads(text))
        assert loaded.violations == ()
        assert loaded.schedule == schedule
        without_commits = {k: v for k, v in to_dict(schedule).items() if k != "ops_with_commits"}
        assert from_dict(without_commits).schedule == schedule


@pytest.mark.parametrize("kind", ["interleaved", "zb-v"])
def test_fewer_micro_batches_than_ranks(kind: str) -> None:
    for ranks in range(2, 12):
        for m in range(1, ranks):
            assert find_violations(build(kind, ranks, m)) == (), (ranks, m)
