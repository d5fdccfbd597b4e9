"""A step of a plan: its ledger, its limits, its symmetry, and the closed forms."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate import FORMULAS, Costs, simulate
from dualpipe_ref.simulate.cluster import Plan, books, evaluate
from dualpipe_ref.simulate.cluster.books import mean, of_rank, waiting_ledger
from dualpipe_ref.simulate.cluster.layer import LayerTimes
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.stage import (
    COMPUTING,
    OpParts,
    StageTimes,
    lone,
    overlapped,
    pair_bound,
)
from dualpipe_ref.simulate.cluster.step import Step
from dualpipe_ref.simulate.cluster.work import F, I, W

from .joint import makespan
from .plans import DENSE, DEVICE, plans

QUICK = settings(max_examples=40, deadline=None)


def faults(step: Step) -> list[str]:
    """Ledgers that do not add up to the step."""
    found = []
    for group in step.groups:
        for rank in range(step.plan.pipeline):
            book = of_rank(step, rank, group)
            if book.total != step.nanoseconds:
                found.append(f"rank {rank}: {book.total} of {step.nanoseconds}")
            found += [f"rank {rank}: {label} < 0" for label, time in book.rows.items() if time < 0]
    if mean(step).total != step.nanoseconds:
        found.append("mean")
    return found


@QUICK
@given(plans())
def test_the_ledger_of_every_gpu_adds_up_to_the_step(plan: Plan) -> None:
    assert faults(evaluate(plan)) == []


def test_a_ledger_with_a_fault_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    step = evaluate(Plan())
    assert faults(step) == []
    right = StageTimes.of_rank

    def wrong(self: StageTimes, schedule: object, rank: int) -> list[OpParts]:
        first, *others = right(self, schedule, rank)  # type: ignore[arg-type]
        return [first._replace(exposed=first.exposed + 1), *others]

    monkeypatch.setattr(StageTimes, "of_rank", wrong)
    assert any("slow GPUs < 0" in fault for fault in faults(step))
    monkeypatch.undo()
    monkeypatch.setattr(books, "ROWS", books.ROWS[:-1])
    monkeypatch.setattr(Step, "nanoseconds", property(lambda self: self.makespan))
    assert "mean" in faults(step)


@QUICK
@given(plans())
def test_every_gpu_for_itself_takes_as_long_as_groups_that_are_alike(plan: Plan) -> None:
    step = evaluate(plan)
    assert step.makespan == makespan(plan, step.times)
    assert (
        sum(group.alike for group in step.groups)
        * plan.pipeline
        * max(plan.tensor, plan.expert_ranks)
        == plan.gpus
    )


@QUICK
@given(plans(), st.sampled_from(("rdma", "nvlink", "hbm")), st.sampled_from((1.1, 2, 10)))
def test_more_bandwidth_is_never_slower(plan: Plan, link: str, factor: float) -> None:
    plan = replace(plan, split=Layout(plan).split)
    faster = replace(plan.device, **{link: getattr(plan.device, link) * factor})
    assert evaluate(replace(plan, device=faster)).nanoseconds <= evaluate(plan).nanoseconds


@QUICK
@given(plans(("1f1b", "zb-h1", "gpipe", "zb-v"), slow=False))
def test_on_a_free_network_the_engine_alone_says_how_long_it_takes(plan: Plan) -> None:
    free = replace(plan.device, rdma=1e15, nvlink=1e15)
    kernels = plan.kernels.changed(nvlink_of_an_sm=1e15)
    plan = replace(plan, device=free, kernels=kernels, sms=8)
    layout = Layout(plan)
    chosen = {}
    for kind in (F, I, W):
        stages = [layout.stage(n, layers, False) for n, layers in enumerate(layout.layers)]
        chosen[kind.value] = tuple(
            max(1, sum(layer.compute[part, kind].on_sms for layer in stage for part in COMPUTING))
            for stage in stages
        )
    expected = simulate(plan.order, Costs(**chosen)).makespan
    assert evaluate(plan).free[None].makespan == expected


# Every one of them has an exact form for these costs.
KINDS = ("gpipe", "1f1b", "zb-h1", "dualpipe", "dualpipev")


@QUICK
@given(plans(KINDS, slow=False), st.sampled_from(KINDS), st.integers(1, 3))
def test_closed_forms_hold_for_ops_that_come_out_of_layers(
    plan: Plan, kind: str, layers: int
) -> None:
    layout = Layout(plan)
    ranks = 4
    schedule = build(kind, ranks, 8)
    chunk = [layout.layer(not plan.shape.experts, False)] * layers
    stages = [chunk] * schedule.placement.stages
    times = StageTimes(stages, stages, layout.slower)
    costs = Costs(**{op.value: times.parts(op).length for op in OpKind})
    compared = 0
    for rank in range(ranks):
        for formula in FORMULAS:
            if formula.kind == kind and formula.quantity in ("bubble", "makespan"):
                wanted = ranks, schedule.microbatches, costs, rank
                if formula.holds(*wanted):
                    found = simulate(schedule, times.op_times(schedule))
                    is_bubble = formula.quantity == "bubble"
                    expected = found.idle[rank] if is_bubble else found.makespan
                    assert formula.evaluate(*wanted) == expected, formula
                    compared += 1
    # A pair can be shorter than its backward alone, where W lies beside an all-to-all: outside the domain of DualPipe's forms.
    assert compared or costs.of("FB") < max(costs.of("F"), costs.of("B"))


@QUICK
@given(plans(slow=False), st.integers(0, 4), st.integers(0, 4))
def test_a_pair_lies_between_its_bound_and_one_after_the_other(
    plan: Plan, forward: int, backward: int
) -> None:
    layout = Layout(plan)
    layer = layout.layer(not plan.shape.experts, False)
    one, other = [layer] * forward, [layer] * backward
    pair = overlapped(one, other, layout.slower)
    assert pair.length >= pair_bound(one, other, layout.slower)
    assert pair.length - pair.sm_tax <= lone(one, F).length + lone(other, OpKind.B).length
    assert min(pair) >= 0
    everything = [lone(one, F), lone(other, OpKind.B)]
    assert pair.work == sum(part.work for part in everything)
    assert pair.exposed + pair.hidden == sum(part.exposed for part in everything)


def test_an_empty_layer_takes_no_time() -> None:
    nothing = LayerTimes(
        {
            (part, kind): type(Layout(Plan()).clock.compute(part, kind, False))()
            for part in COMPUTING
            for kind in (F, I, W)
        }
    )
    assert lone([nothing], F).length == 0
    assert StageTimes([[nothing]], [[nothing]]).parts(F).length == 1


def test_two_thousand_gpus_take_less_than_5_s_and_a_hundred_thousand_less_than_30() -> None:
    """Of one core, with a slow GPU in every tenth group, so that they are not alike."""
    for gpus, sequences, limit in ((2048, 15360, 5), (102_400, 768_000, 30)):
        side = 16 * 64
        slow = {
            group * side + 7 * group % side: 1.01 + group / 1000
            for group in range(0, gpus // side, 10)
        }
        start = time.process_time()
        step = evaluate(replace(Plan(), gpus=gpus, sequences=sequences, slow=slow))
        assert time.process_time() - start < limit
        assert len(step.timelines) == len(slow) + (len(slow) < gpus // side)


def test_the_ledger_of_waiting_comes_from_two_steps() -> None:
    before = evaluate(replace(Plan(), schedule="1f1b"))
    after = evaluate(Plan())
    book = waiting_ledger(before, after)
    assert book.waiting == mean(before).waiting
    assert book.speedup_without_tax > book.speedup > 1
    told = before.seconds / after.seconds
    # The ledger taxes all computation, the planner only pairs: the truth lies between both.
    assert float(book.speedup) <= told <= float(book.speedup_without_tax)


def test_deepseek_v3_needs_no_tensor_parallel_ranks() -> None:
    """It fits without, and eight of them make it slower; two change little, since they halve the bubble as well."""
    plain, two, eight = (
        evaluate(replace(Plan(), tensor=tensor)).tokens_per_second for tensor in (1, 2, 8)
    )
    assert abs(two / plain - 1) < 0.02
    assert eight < plain


def test_a_dense_model_reserves_no_sms() -> None:
    plan = Plan(
        shape=DENSE,
        device=DEVICE,
        gpus=4,
        pipeline=4,
        expert_ranks=1,
        sequences=16,
        schedule="dualpipe",
        predicting=False,
    )
    assert plan.reserved == 0
    assert mean(evaluate(plan)).rows["SM tax"] == 0
