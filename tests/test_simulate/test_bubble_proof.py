"""Each step of the derivations in book/proof_bubbles.md, for sizes and exact costs that hypothesis draws."""

# The letters of the formulas.
# ruff: noqa: E741, N803, N806

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.schedule import Op, OpKind, Schedule
from dualpipe_ref.schedule.dualpipe import steps_of
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.simulate import Costs, Timeline, simulate

from .strategies import cached_build, positive


def waits(timeline: Timeline, rank: int) -> list[Fraction]:
    """Before each op of a rank: how long it waits."""
    spans = timeline.spans[rank]
    gaps = [spans[0].start, *(two.start - one.end for one, two in pairwise(spans))]
    return [Fraction(gap) for gap in gaps]


def last(timeline: Timeline, rank: int, kind: OpKind) -> int:
    return max(place for place, span in enumerate(timeline.spans[rank]) if span.op.kind is kind)


@given(positive, positive, positive, st.integers(2, 6), st.integers(1, 9))
def test_1f1b_waits_at_its_two_ends(F: Fraction, I: Fraction, W: Fraction, P: int, m: int) -> None:
    timeline = simulate(cached_build("1f1b", P, m), Costs(F, I, W))
    spans = timeline.spans[P - 1]
    assert spans[0].start == (P - 1) * F
    assert not any(waits(timeline, P - 1)[1:])
    assert timeline.makespan - spans[-1].end == (P - 1) * (I + W)


@given(positive, positive, st.integers(1, 10), st.integers(2, 6), st.integers(0, 6))
def test_zb_h1_owes_a_w_for_each_rank(
    F: Fraction, I: Fraction, tenths: int, P: int, extra: int
) -> None:
    m, W = P + extra, min(F, I) * Fraction(tenths, 10)
    timeline = simulate(cached_build("zb-h1", P, m), Costs(F, I, W))
    spans, place = timeline.spans[P - 1], last(timeline, P - 1, OpKind.I)
    assert spans[0].start == (P - 1) * F
    assert not any(waits(timeline, P - 1)[1 : place + 1])
    assert len(spans) - place - 1 == P
    assert spans[place].end == (P - 1) * F + m * (F + I + W) - P * W
    assert timeline.makespan == spans[place].end + (P - 1) * I + W


@given(st.integers(1, 5), st.integers(1, 3), positive)
def test_chimera_in_slots(half: int, units: int, slot: Fraction) -> None:
    P = 2 * half
    costs = Costs(slot, slot / 2, slot / 2)
    timeline = simulate(cached_build("chimera", P, P * units), costs)
    if units == 1:
        assert timeline.makespan == (3 * P - 2) * slot
    assert set(timeline.idle) == {(P - 2) * slot}


@given(positive, positive, positive, positive, st.integers(2, 6), st.integers(0, 5))
def test_dualpipe_waits_at_the_two_ends_of_its_middle(
    F: Fraction, I: Fraction, W: Fraction, more: Fraction, H: int, extra: int
) -> None:
    n, FB = 2 * H - 1 + extra, max(F, I + W) + more
    timeline = simulate(cached_build("dualpipev", H, n), Costs(F, I, W, FB=FB))
    spans, gaps = timeline.spans[H - 1], waits(timeline, H - 1)
    first_b = next(place for place, span in enumerate(spans) if span.op.kind is OpKind.B)
    last_fb = last(timeline, H - 1, OpKind.FB)
    assert first_b == 2 * H + 1
    assert spans[first_b].start == max(3 * H * F, 2 * H * F + (H - 1) * I)
    assert sum(gaps[: first_b + 1]) == max((H - 1) * F, (H - 1) * I - F)
    assert not any(gaps[first_b + 1 : last_fb + 1])
    out = (H - 1) * FB + (I + W) + H * I + W + (H - 1) * max(I, W)
    assert timeline.makespan - spans[last_fb].end == out
    own = sum(span.end - span.start for span in spans[last_fb + 1 :])
    assert own == 2 * H * (I + W)
    assert out - own == (H - 1) * (FB - W - min(W, I))


@given(positive, positive, positive, st.integers(0, 8), st.integers(2, 6), st.integers(0, 5))
def test_ranks_near_the_ends_run_fewer_pairs(
    F: Fraction, I: Fraction, W: Fraction, eighths: int, H: int, extra: int
) -> None:
    n = 2 * H - 1 + extra
    FB = max(F, I + W) + min(F, I + W) * Fraction(eighths, 8)
    gain = F + I + W - FB
    timeline = simulate(cached_build("dualpipev", H, n), Costs(F, I, W, FB=FB))
    for h, ops in enumerate(timeline.schedule.ops):
        pairs = sum(op.kind is OpKind.FB for op in ops)
        assert pairs == 2 * n - 3 * H + h + 1 - (h == H - 1)
        assert timeline.busy[h] == 2 * n * (F + I + W) - pairs * gain
        assert timeline.idle[h] == timeline.idle[H - 1] - max(0, H - 2 - h) * gain


HIGHEST = {1: 0, 2: 0, 3: 0, 4: 1, 5: 0, 6: 0, 7: 0, 8: 0}  # above PP, in each step


@pytest.mark.parametrize("H", range(2, 9))
def test_the_count_goes_above_pp_in_step_4_alone(H: int) -> None:
    for n in (2 * H - 1, 2 * H, 2 * H + 4):
        for h, ops in enumerate(cached_build("dualpipev", H, n).ops):
            highest: dict[int, int] = {}
            for step, (during, _) in zip(steps_of(h, H, n), occupancy(ops), strict=True):
                highest[step] = max(highest.get(step, 0), during.activations)
            assert all(count <= 2 * H + HIGHEST[step] for step, count in highest.items())
            assert (4 in highest) == (n - 2 * H + h + 1 > 0)
            assert highest.get(4, 2 * H + 1) == 2 * H + 1


def without_split(schedule: Schedule, at_the_end: bool) -> Schedule:
    """The same order with full backwards after the last FB, or in step 3."""

    def rank_ops(rank: int) -> list[Op]:
        ops = schedule.ops[rank]
        first = next(i for i, op in enumerate(ops) if op.kind in (OpKind.FB, OpKind.B))
        last_fb = max(i for i, op in enumerate(ops) if op.kind is OpKind.FB)
        found = []
        for place, op in enumerate(ops):
            inside = place > last_fb if at_the_end else place < first
            if inside and op.kind is OpKind.I:
                found.append(Op(OpKind.B, None, op.backward))
            elif not (inside and op.kind is OpKind.W):
                found.append(op)
        return found

    return verify(assemble("dualpipev", schedule.ranks, schedule.microbatches, rank_ops))


@given(st.integers(2, 5), st.integers(0, 3), positive, st.integers(1, 8), st.integers(0, 8))
def test_two_of_the_three_w_come_back_without_the_splits_at_the_end(
    H: int, extra: int, F: Fraction, w: int, eighths: int
) -> None:
    """With W no longer than I, and I so long that its hops hide behind forwards."""
    I, n = F, 2 * H + extra
    W = I * Fraction(w, 8)
    FB = max(F, I + W) + min(F, I + W) * Fraction(eighths, 8)
    costs = Costs(F, I, W, FB=FB)
    released = cached_build("dualpipev", H, n)
    bubble = simulate(released, costs).idle[H - 1]
    assert bubble == (H - 1) * (F + FB - 2 * W)
    assert simulate(without_split(released, True), costs).idle[H - 1] - bubble == 2 * (H - 1) * W
    changed = simulate(without_split(released, False), costs).idle[H - 1]
    assert changed - bubble == max(0, (H - 1) * (I + W) - F - (H - 1) * F)


def test_a_wrong_step_of_the_derivation_is_seen() -> None:
    """The planted fault: hops of B in place of hops of I on the way to the first gradient."""
    timeline = simulate(cached_build("dualpipev", 6, 13), Costs(1, 2, 1, FB=4))
    spans = timeline.spans[5]
    first_b = next(place for place, span in enumerate(spans) if span.op.kind is OpKind.B)
    assert spans[first_b].start == max(3 * 6, 2 * 6 + 5 * 2)
    assert spans[first_b].start != max(3 * 6, 2 * 6 + 5 * 3)
