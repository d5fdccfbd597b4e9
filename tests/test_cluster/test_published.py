"""Predictions beside published numbers: how far off they are is asserted as it is, not as one would like it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.simulate.cluster import CONSTANTS, RUNS, Plan, evaluate
from dualpipe_ref.simulate.cluster.overlapped import interleaved_overlapped
from dualpipe_ref.simulate.cluster.published import ZERO_BUBBLE
from dualpipe_ref.simulate.cluster.scaling import (
    Growth,
    at_constant_ratio,
    at_ratio,
    finer,
    point,
    slower_network,
    without_limit,
)
from dualpipe_ref.simulate.cluster.study import (
    as_in_trace,
    pair_profile,
    rank,
    schedules_of,
    sensitivity,
    sms_of,
    zero_bubble,
)
from dualpipe_ref.simulate.cluster.work import model_operations

OFF = {
    "deepseek-v3": -0.14,
    "llama-3-405b": 0.135,
    "llama-3-405b-16k": 0.105,
    "qwen3-235b": -0.165,
    "qwen3-235b-overlapped": -0.28,
}


@pytest.mark.parametrize("name", OFF)
def test_predictions_are_off_by_what_the_book_says(name: str) -> None:
    run = RUNS[name]
    step = evaluate(run.plan)  # and it fits in memory, as it did
    (number,) = run.published
    assert number.predicted(step) / number.value - 1 == pytest.approx(OFF[name], abs=0.01)


def test_deepseek_v3_with_computation_as_in_its_own_trace() -> None:
    """Within 10 % if kernels are slower everywhere, a little beyond if only all-to-alls slow them down."""
    for everywhere, off in ((False, -0.117), (True, -0.05)):
        plan = as_in_trace(Plan(), everywhere=everywhere)
        assert pair_profile(plan).parts.length == pytest.approx(129.0e6, rel=1e-3)
        hours = evaluate(plan).hours_per_trillion
        assert hours / 180_000 - 1 == pytest.approx(off, abs=0.02)


def test_the_operations_of_a_token_are_those_of_its_active_parameters() -> None:
    """37 billion active parameters (the report), less the embedding, times six; attention comes on top."""
    plan = Plan()
    short = model_operations(plan.shape, 1)
    assert short / 6e9 == pytest.approx(37 - 0.93, abs=0.6)


@pytest.mark.parametrize(("seconds", "tflops"), [(19.7, 245), (17.6, 276)])
def test_operations_are_counted_as_megatron_counts_them(seconds: float, tflops: float) -> None:
    """The Model Zoo publishes both for Qwen3-235B: the step, and TFLOP/s of a GPU."""
    plan = RUNS["qwen3-235b"].plan
    each = model_operations(plan.shape, plan.length)
    assert plan.tokens * each / seconds / plan.gpus / 1e12 == pytest.approx(tflops, rel=0.01)


@pytest.mark.parametrize("row", ZERO_BUBBLE, ids=lambda row: row.model)
def test_bubbles_of_the_zero_bubble_paper_follow_from_its_profiled_times(row: object) -> None:
    assert hasattr(row, "rates")
    for count, (plain, split) in row.rates.items():
        found = zero_bubble(row, count)  # type: ignore[arg-type]
        assert found.one_f_one_b == pytest.approx(plain, rel=0.05)
        assert found.zb_h1 == pytest.approx(split, rel=0.05)
        before, after = row.samples[count]  # type: ignore[attr-defined]
        assert found.speedup == pytest.approx(after / before, rel=0.025)


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("chunks", [2, 3, 4])
def test_the_overlapped_interleaved_order_keeps_every_rule(ranks: int, chunks: int) -> None:
    for rounds in (1, 2, 4):
        verify(interleaved_overlapped(ranks, rounds * ranks, chunks), rendezvous=False)


def test_constants_have_sources_and_grades() -> None:
    assert len({one.name for one in CONSTANTS}) == len(CONSTANTS)
    for one in CONSTANTS:
        assert one.source
        assert one.grade in "PDMA"
        assert one.kernel_level == (one.grade != "A")


def test_sensitivity_goes_one_way() -> None:
    slower_with_more = {
        "slowed_all_to_all",
        "computation_beside",
        "computation",
        "exposed_updates",
        "sms_of_full_rdma",
    }
    for row in sensitivity(Plan()):
        hours = list(row.hours)
        assert hours == sorted(hours, reverse=row.name not in slower_with_more), row.name


def test_rankings_name_what_does_not_fit() -> None:
    small = replace(Plan(), sequences=4096)
    found = rank(schedules_of(small))
    speeds = [one.step.tokens_per_second for one in found if one.step and not one.why]
    assert speeds == sorted(speeds, reverse=True)
    assert found[0].plan.schedule == "dualpipe"
    assert all(one.why for one in found if not one.step)
    assert [one.plan.sms for one in rank(sms_of(Plan(), (20, 8)))] == [8, 20]


def test_at_a_constant_ratio_the_overhead_stays_where_it_is_as_nodes_grow() -> None:
    found = [at_ratio(Growth(nodes, 7168), 0.445) for nodes in (8, 16, 32, 64)]
    assert all(0.42 < one.ratio <= 0.445 for one in found)
    assert all(one.exposed == 0 for one in found)


def test_where_the_claim_breaks() -> None:
    """Without the limit of nodes the ratio grows; near 1 exposure begins; and one ratio does not fit all splits of a layer."""
    grown = list(without_limit())
    assert [one.ratio for one in grown] == sorted(one.ratio for one in grown)
    assert grown[-1].exposed > 0.037 > grown[0].exposed
    slower = list(slower_network())
    assert all((one.exposed > 0.05) == (one.ratio > 1) for one in slower)
    assert [one.ratio for one in finer()] == sorted(one.ratio for one in finer())
    uneven = at_ratio(Growth(8, 7168), 0.9)
    assert uneven.ratio < 0.9
    assert uneven.exposed > 0.1
    assert len(list(at_constant_ratio(0.445))) == 24
    assert point(Growth(8, 7168)).profile.parts.length > 0
