"""The view of SMs says what the planner's pair says, for every state that has an answer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot import sms_data
from dualpipe_ref.plot.live import answer, controls, nearest
from dualpipe_ref.plot.sms_data import DEFAULTS, DRAWN, case_of, usual_ratio
from dualpipe_ref.simulate.cluster import Plan
from dualpipe_ref.simulate.cluster.study import pair_profile
from dualpipe_ref.simulate.cluster.transport import share_of_rdma

STATES = st.fixed_dictionaries(
    {},
    optional={
        "sms": st.integers(1, 131),
        "ratio": st.sampled_from([0.05, "0.5", "1", 2.5]),
        "rdma": st.sampled_from([50, "25", 400]),
        "nvlink": st.sampled_from([160, "450", "20"]),
        "knee": st.sampled_from([2, "8", 20, "7/2"]),
    },
)


def totals(data: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of each bar, by the first words of its label."""
    return {
        bar["label"].partition(":")[0]: sum(part["value"] for part in bar["parts"])
        for bar in data["bars"]
    }


@settings(max_examples=20, deadline=None)
@given(STATES)
def test_bars_are_pairs_of_the_planner(state: dict[str, Any]) -> None:
    case, data = case_of(state), answer("sms", state)
    shown = totals(data)
    assert shown.pop("one after the other") == pytest.approx(case.alone.length / 1e6)
    for label, length in shown.items():
        # Fewer micro-batches, the same pair.
        plan = replace(case.plan, sms=int(label.split()[0]), sequences=128 * 30)
        assert length == pytest.approx(pair_profile(plan).parts.length / 1e6)
    assert {int(label.split()[0]) for label in shown} == {case.sms, case.found.best}
    assert min(shown.values()) == pytest.approx(shown[_named(case.found.best)])
    for word, count in (("chosen", case.sms), ("the shortest", case.found.best)):
        marked = [bar["label"] for bar in data["bars"] if word in bar["label"].split(", ")]
        assert [label.split(":")[0] for label in marked] == [_named(count)]


@settings(max_examples=15, deadline=None)
@given(STATES)
def test_curves_are_pairs_with_each_number_of_sms(state: dict[str, Any]) -> None:
    case, chart = case_of(state), answer("sms", state)["chart"]
    pair, computing, communicating = ([y for _, y in line["points"]] for line in chart["lines"])
    assert [x for x, _ in chart["lines"][0]["points"]] == list(range(1, DRAWN + 1))
    for count in (1, 7, case.sms, DRAWN):
        if count <= DRAWN:
            one = case.on(count)
            assert pair[count - 1] == pytest.approx(one.parts.length / 1e6, rel=1e-3)
            # A pair is as long as its computation and what is exposed of communication.
            assert pair[count - 1] >= max(computing[count - 1], communicating[count - 1]) * 0.999
    assert chart["level"]["value"] * 1.35 == pytest.approx(chart["highest"])
    for mark in chart["marks"]:
        assert mark["y"] == pytest.approx(pair[mark["x"] - 1], rel=1e-3)
    wanted = {count for count in (case.sms, case.found.best) if count <= DRAWN}
    assert {mark["x"] for mark in chart["marks"]} == wanted


def _named(count: int) -> str:
    return f"{count} SM{'' if count == 1 else 's'}"


@settings(max_examples=30, deadline=None)
@given(STATES)
def test_facts_are_the_tax_and_the_links(state: dict[str, Any]) -> None:
    case = case_of(state)
    facts = {fact["label"]: fact for fact in answer("sms", state)["facts"]}
    assert float(facts["the SM tax"]["value"]) == pytest.approx(132 / (132 - case.sms), abs=6e-4)
    one, kernels = case.on(case.sms), case.plan.kernels
    share = share_of_rdma(case.sms, kernels["sms_of_full_rdma"])
    assert one.rdma == pytest.approx(case.plan.device.rdma * kernels["rdma_share"] * share)
    assert one.nvlink <= case.plan.device.nvlink
    assert f"{one.rdma:.3g} GB/s over RDMA" in facts["communication of the pair"]["note"]
    least, most = case.found.least, case.found.most
    said = facts["shorter than one after the other"]["value"]
    assert said == ("none" if least > most else f"{least} to {most} SMs")


@pytest.mark.parametrize("ratio", ["0.2", 0.91, "3/2"])
def test_a_ratio_is_that_of_both_with_all_sms(ratio: Any) -> None:
    alone = case_of({"ratio": ratio}).alone
    wanted = float(Fraction(ratio))
    assert alone.exposed / (alone.length - alone.exposed) == pytest.approx(wanted, rel=1e-6)


def test_with_the_planners_own_ratio_it_is_the_planners_v3() -> None:
    case = case_of({"ratio": usual_ratio()})
    assert case.on(20).parts.length == pytest.approx(pair_profile(Plan()).parts.length, rel=1e-6)


def test_a_scale_that_is_left_out_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms_data, "usual_ratio", lambda: 1.0)
    with pytest.raises(AssertionError):
        test_a_ratio_is_that_of_both_with_all_sms("0.2")


@pytest.mark.parametrize(
    ("state", "legal"),
    [
        ({"sms": 132}, {"sms": 131}),
        ({"sms": 0}, {"sms": 1}),
        ({"ratio": 0}, {"ratio": 1}),
        ({"ratio": "x"}, {"ratio": 1}),
        ({"knee": 500}, {"knee": 131}),
    ],
)
def test_what_is_offered(state: dict[str, Any], legal: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        answer("sms", state)
    assert nearest("sms", state) == {**state, **legal}


def test_there_is_a_control_for_every_part() -> None:
    assert [control["name"] for control in controls("sms", {})] == list(DEFAULTS)


def test_the_figure_has_both_marks_and_the_level() -> None:
    pytest.importorskip("matplotlib")
    from dualpipe_ref.plot.sms_figure import draw_sms

    for state in ({}, {"sms": 100}, {"ratio": "0.05", "sms": 1}):
        case = case_of(state)
        texts = [text.get_text() for text in draw_sms(case).axes[0].texts]
        wanted = {f"{count} SMs" for count in (case.sms, case.found.best) if count <= DRAWN}
        assert {"one after the other", *wanted} <= set(texts)
        lines = draw_sms(case).axes[0].get_lines()
        assert list(lines[0].get_ydata()) == [
            case.on(count).parts.length / 1e6 for count in range(1, DRAWN + 1)
        ]
