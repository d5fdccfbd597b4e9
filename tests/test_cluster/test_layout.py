"""Who holds which layers; and that the checks of a step see a step that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings

from dualpipe_ref.simulate.cluster import Plan, evaluate
from dualpipe_ref.simulate.cluster import step as module
from dualpipe_ref.simulate.cluster.layout import Layout, _loads, shared_out
from dualpipe_ref.simulate.cluster.step import Group

from .joint import makespan
from .plans import plans


def splits(layers: int, stages: int) -> Iterator[list[int]]:
    """All ways in which only the first and the last stage may have no layer."""
    if stages == 1:
        yield [layers]
        return
    for first in range(layers + 1):
        for rest in splits(layers - first, stages - 1):
            if all(rest[:-1]):
                yield [first, *rest]


@settings(max_examples=25, deadline=None)
@given(plans(("1f1b", "dualpipe", "zb-v"), slow=False))
def test_no_division_of_layers_is_much_better_for_the_busiest_rank(plan: Plan) -> None:
    plan = replace(plan, pipeline=2 if plan.schedule == "zb-v" else plan.pipeline)
    layout = Layout(plan)
    found = shared_out(layout)
    assert sum(found) == plan.shape.layers
    best = min(max(_loads(layout, one)[0]) for one in splits(12, plan.placement.stages))
    layer = max(layout.load(layout.layer(dense, True)) for dense in {True, not plan.shape.experts})
    # Where a rank holds two stages, a dense layer may have to go from rank to rank for it, past others.
    spare = 0 if plan.schedule == "1f1b" else layer
    assert best <= max(_loads(layout, found)[0]) <= best + spare


@settings(max_examples=40, deadline=None)
@given(plans())
def test_each_layer_is_held_once_in_order(plan: Plan) -> None:
    layers = [layer for stage in Layout(plan).layers for layer in stage]
    assert layers == list(range(plan.shape.layers))


def test_a_split_of_ones_own_is_kept() -> None:
    split = (4,) * 15 + (1,)
    step = evaluate(replace(Plan(), split=split))
    assert step.layout.split == split
    assert step.seconds != evaluate(Plan()).seconds


def test_groups_that_forget_a_slow_gpu_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(Plan(), slow={70: 1.5}, sequences=4096)
    right = evaluate(plan)
    assert right.makespan == makespan(plan, right.times)
    monkeypatch.setattr(module, "groups_of", lambda plan: (Group(None, 2),))
    wrong = evaluate(plan)
    assert wrong.makespan < makespan(plan, wrong.times)


def test_the_slowest_of_those_in_lockstep_sets_the_pace() -> None:
    """GPU number = ((group x pipeline) + rank) x side + member: 70 is member 6 at rank 1, 1094 the same of the second group."""
    one = evaluate(replace(Plan(), slow={70: 1.5}, sequences=4096)).nanoseconds
    assert evaluate(replace(Plan(), slow={70: 1.5, 71: 1.2}, sequences=4096)).nanoseconds == one
    assert evaluate(replace(Plan(), slow={1094: 1.5}, sequences=4096)).nanoseconds == one
    assert evaluate(replace(Plan(), slow={70: 1.5, 200: 1.5}, sequences=4096)).nanoseconds > one
