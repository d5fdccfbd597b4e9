"""Fused kernels as a bound: no op is shorter than either lane or longer than without, and the ledger still adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster import TRANSPORTS, Plan, evaluate, mean
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.stage import COMPUTING, EXCHANGING, lone, uncovered
from dualpipe_ref.simulate.cluster.study import SCHEDULES
from dualpipe_ref.simulate.cluster.work import F, I, W

from .plans import plans

KINDS = {F: (F,), I: (I,), W: (W,), OpKind.B: (I, W)}


@settings(max_examples=25, deadline=None)
@given(plans(SCHEDULES, slow=False))
def test_an_op_is_never_shorter_than_either_lane_nor_longer_than_before(plan: Plan) -> None:
    layer = Layout(plan).layer(not plan.shape.experts, False)
    for kind, parts in KINDS.items():
        before, after = lone([layer] * 3, kind), lone([layer] * 3, kind, fused=True)
        computing = 3 * sum(layer.compute[part, one].on_sms for part in COMPUTING for one in parts)
        network = sum(
            layer.network(part, one) for part in EXCHANGING for one in parts if one is not W
        )
        assert max(computing, 3 * network) <= after.length <= before.length
        assert after.hidden + after.exposed == before.exposed == 3 * network
        assert after.length == before.length - after.hidden


def test_what_its_own_mlp_does_not_cover_stays() -> None:
    """By hand, at a network so slow that something stays; a B has its W to cover more than an I."""
    plan = replace(Plan(), device=replace(Plan().device, rdma=20))
    layer = Layout(plan).layer(False, False)
    mlp = {kind: layer.compute[COMPUTING[1], kind].on_sms for kind in (F, I, W)}
    both = layer.dispatch + layer.combine
    assert uncovered(layer, F, fused=True) == both - mlp[F] > 0
    assert uncovered(layer, I, fused=True) == both - mlp[I] > 0
    assert uncovered(layer, OpKind.B, fused=True) == both - mlp[I] - mlp[W] > 0
    assert uncovered(layer, W, fused=True) == uncovered(layer, W) == 0


@pytest.mark.parametrize("schedule", ["1f1b", "zb-v", "dualpipe", "interleaved-overlapped"])
def test_a_step_is_no_longer_and_its_ledger_adds_up(schedule: str) -> None:
    plan = replace(Plan(), schedule=schedule, sequences=4096, transport=TRANSPORTS["copy-engine"])
    before = evaluate(plan, memory=False)
    after = evaluate(replace(plan, transport=TRANSPORTS["fused"]), memory=False)
    assert after.nanoseconds <= before.nanoseconds
    books, was = mean(after), mean(before)
    assert books.total == after.nanoseconds
    assert books.rows["exposed all-to-all"] < was.rows["exposed all-to-all"]
    assert books.rows["computing"] == was.rows["computing"]
    assert after.plan.reserved == 0


def test_a_dense_model_has_nothing_to_fuse() -> None:
    from dualpipe_ref.simulate.cluster import find_run

    dense = replace(find_run("llama-3-405b").plan, sequences=1024)
    fused = replace(dense, transport=TRANSPORTS["fused"])
    assert evaluate(fused).nanoseconds == evaluate(dense).nanoseconds
