"""Costs of lanes and of ops that come out of a model, a device and a network."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.cluster import TRANSPORTS, Plan
from dualpipe_ref.simulate.cluster.derived import lane_costs, op_costs, pair_kernels
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.profile import profile_of, published, timeline_of
from dualpipe_ref.simulate.cluster.stage import pair_bound
from dualpipe_ref.simulate.cluster.study import pair_profile
from dualpipe_ref.simulate.lane_search import best_order, lower_bound
from dualpipe_ref.simulate.lanes import Lane, published_order, run_pair
from dualpipe_ref.simulate.volumes import (
    ExpertGrid,
    Links,
    combine_bytes,
    copies,
    expected_spread,
    volume,
)

from .plans import plans


def test_for_deepseek_v3_no_order_is_shorter_than_the_published_one() -> None:
    costs = lane_costs(Plan())
    run = run_pair(published_order(4), costs)
    assert run.length == lower_bound(4, costs) == run_pair(best_order(4, costs), costs).length
    assert run.exposed == 0
    order = [f"{piece.part} {piece.kind}" for piece in published_order(1)[Lane.NETWORK]]
    assert order == ["combine I", "dispatch F", "dispatch I", "combine F"]


def test_with_small_experts_a_search_finds_what_the_published_order_leaves() -> None:
    """The two parts of a layer are no longer alike, and an all-to-all lies beside the shorter one."""
    plan = replace(Plan(), shape=replace(Plan().shape, expert_hidden=128))
    costs = lane_costs(plan)
    published = run_pair(published_order(2), costs).length
    best = run_pair(best_order(2, costs), costs).length
    assert lower_bound(2, costs) <= best < published


@settings(max_examples=40, deadline=None)
@given(plans(("dualpipe", "dualpipev"), slow=False), st.integers(1, 4))
def test_a_pair_by_lanes_is_the_pair_by_stages(plan: Plan, layers: int) -> None:
    if plan.exchange is None:
        with pytest.raises(InputError, match="two lanes"):
            lane_costs(plan)
        return
    costs, ops = lane_costs(plan), op_costs(plan, layers)
    pair = run_pair(published_order(layers), costs).length
    one_after_the_other = ops.of("F") + ops.of("B")
    assert ops.of("FB") == min(pair, one_after_the_other)
    layout = Layout(plan)
    chunk = [layout.layer(False, True)] * layers
    assert pair_bound(chunk, chunk, layout.slower) == lower_bound(layers, costs)


def test_an_all_to_all_is_what_volumes_say() -> None:
    plan = Plan()
    exchange = plan.exchange
    assert exchange is not None
    grid = ExpertGrid()
    found = volume(
        copies(grid, expected_spread(grid)),
        4096,
        combine_bytes(7168, 8, 2),
        Links(exchange.links.rdma, 160),
    )
    assert exchange.combine() == round(float(found.ms) * 1e6)
    assert exchange.links == Links(50 * Fraction(51 * 7, 8 * 50), 160)


def test_fewer_sms_lengthen_the_all_to_all_and_shorten_the_rest() -> None:
    few, many = lane_costs(replace(Plan(), sms=4)), lane_costs(replace(Plan(), sms=20))
    assert few.dispatch > many.dispatch
    assert few.mlp < many.mlp
    none = lane_costs(replace(Plan(), transport=TRANSPORTS["copy-engine"]))
    assert none.dispatch == many.dispatch
    assert none.mlp < few.mlp


def test_in_network_copies_shorten_no_balanced_all_to_all() -> None:
    plain, inside = (
        replace(Plan(), transport=TRANSPORTS[name]).exchange
        for name in ("copy-engine", "in-network")
    )
    assert plain is not None
    assert inside is not None
    assert inside.directions[0] < plain.directions[0]
    assert inside.dispatch() == plain.dispatch()


def test_costs_of_ops_go_to_the_simulator() -> None:
    plan = Plan()
    costs = op_costs(plan)
    assert isinstance(costs, Costs)
    assert costs.of("B") == costs.of("I") + costs.of("W")
    assert costs.of("FB") < costs.of("F") + costs.of("B")
    assert simulate(plan.order, costs).makespan > plan.microbatches * costs.of("FB")


def test_a_planned_pair_is_profiled_like_a_recorded_one() -> None:
    for plan in (Plan(), replace(Plan(), device=replace(Plan().device, rdma=20))):
        planned, profile = pair_profile(plan), profile_of(pair_kernels(plan))
        assert profile.computing == planned.computing
        assert profile.communicating == planned.communicating
        assert profile.exposed == planned.parts.exposed
        assert profile.order == tuple(published()["order"]) * 4
        timeline = timeline_of(pair_kernels(plan))
        assert timeline.makespan == profile.wall


def test_without_aggregation_a_token_crosses_for_every_gpu() -> None:
    plain, direct = (
        replace(Plan(), transport=TRANSPORTS[name]).exchange
        for name in ("copy-engine", "low-latency")
    )
    assert plain is not None
    assert direct is not None
    assert direct.dispatch() > 1.9 * plain.dispatch()
