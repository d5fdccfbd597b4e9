"""The chooser says what `dualpipe-ref plan --rank` says, its bars are the ledger, and what breaks a rule says which."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot.chooser_data import PARTS
from dualpipe_ref.plot.chooser_view import COMPARED, DEFAULTS, plan_of
from dualpipe_ref.plot.controls import is_shown
from dualpipe_ref.plot.live import answer, controls, nearest
from dualpipe_ref.simulate.cluster import Plan
from dualpipe_ref.simulate.cluster.ranked import ranking

from ..test_cli.command import call

SMALL: dict[str, Any] = {"device": "B200", "gpus": 256, "pipeline": 4, "microbatches": 8}

states = st.fixed_dictionaries(
    {
        "compare": st.sampled_from(COMPARED),
        "model": st.sampled_from(["DeepSeek-V3", "Qwen3 235B"]),
        "device": st.sampled_from(["H800", "H100", "H200", "B200"]),
        "pipeline": st.sampled_from([2, 3, 4]),
        "microbatches": st.integers(1, 9),
        "transport": st.sampled_from(["sms", "low-latency", "in-network"]),
        "expert_ranks": st.sampled_from([8, 32]),
        "memory": st.sampled_from([None, 60, "999.5"]),
        "layers": st.sampled_from([None, 12]),
    }
)


def as_options(state: dict[str, Any]) -> list[object]:
    """The same plan for the command line."""
    plan = plan_of(state)
    names = ("gpus", "pipeline", "tensor", "expert_ranks", "sequences", "length", "micro")
    found: list[object] = ["--device", plan.device.name, "--transport", plan.transport.name]
    for name in names:
        found += [f"--{name.replace('_', '-')}", getattr(plan, name)]
    return [*found, "--schedule", plan.schedule, "--policy", plan.policy]


@pytest.mark.parametrize("compare", COMPARED)
@pytest.mark.parametrize("changed", [{}, {"microbatches": 14, "device": "H200"}])
def test_the_command_ranks_as_the_chooser_does(compare: str, changed: dict[str, Any]) -> None:
    state = {**SMALL, **changed, "compare": compare}
    shown = answer("chooser", state)
    told = call("plan", *as_options(state), "--rank", compare, "--format", "json").data
    runs = [row for row in told["rows"] if not row["why"]]
    assert shown["sentence"] == told["sentence"]
    assert [row[0] for row in shown["table"]["rows"]] == [row["name"] for row in runs]
    assert [row[1] for row in shown["table"]["rows"]] == [f"{row['step_s']:.2f}" for row in runs]
    refused = [row["name"] for row in told["rows"] if row["why"]]
    assert [fact["label"] for fact in shown["facts"]] == refused


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(states)
def test_bars_are_the_ledger(state: dict[str, Any]) -> None:
    state = {**state, "gpus": state["pipeline"] * 64}
    try:
        data = answer("chooser", state)
    except InputError:
        state = nearest("chooser", state) or pytest.fail("no nearest state")
        data = answer("chooser", state)
    rows = ranking(plan_of(state), state["compare"])["rows"]
    runs = [row for row in rows if not row["why"]]
    assert len(data["bars"]) == len(runs) == len(data["table"]["rows"])
    for bar, row in zip(data["bars"], runs, strict=True):
        assert sum(part["value"] for part in bar["parts"]) == pytest.approx(row["step_s"])
        values = {part["label"]: part["value"] for part in bar["parts"]}
        assert set(values) == set(PARTS)
        assert values["SM tax"] == row["ledger_s"]["SM tax"]
    assert all(fact["note"] and "sequences" not in fact["note"] for fact in data["facts"])


def test_the_default_is_the_reports_plan_but_for_its_batch() -> None:
    plan = plan_of({"microbatches": 120})
    report = Plan()
    assert {name: getattr(plan, name) for name in vars(report) if name != "chunks"} == {
        name: getattr(report, name) for name in vars(report) if name != "chunks"
    }


def test_what_breaks_a_rule_names_it_in_the_readers_words() -> None:
    data = answer("chooser", {**SMALL, "microbatches": 5, "memory": 48})
    notes = {fact["label"]: (fact["value"], fact["note"]) for fact in data["facts"]}
    value, note = notes["chimera"]
    assert value == "cannot run"
    assert note.endswith("got P = 4, m = 5; nearest legal: m = 4")
    assert all("too many" in note for value, note in notes.values() if value == "does not fit")


def test_nothing_fits_and_all_is_told() -> None:
    data = answer("chooser", {**SMALL, "memory": 1})
    assert data["sentence"] == "None of the 9 can be taken."
    assert data["bars"] == []
    assert {fact["value"] for fact in data["facts"]} == {"does not fit"}


@pytest.mark.parametrize(
    ("state", "legal"),
    [
        ({"gpus": 300}, {"gpus": 256}),
        ({"expert_ranks": 63}, {"expert_ranks": 64}),
        ({"pipeline": 99}, {"pipeline": 32}),
        ({"pipeline": 32, "microbatches": 500, "gpus": 2048}, {"microbatches": 128}),
        ({"model": "Llama 3 405B", "policy": "norms"}, {"expert_ranks": 1}),
    ],
)
def test_one_rule_that_all_break_is_refused_with_the_nearest(
    state: dict[str, Any], legal: dict[str, Any]
) -> None:
    state = {**SMALL, **state}
    with pytest.raises(InputError, match="nearest legal"):
        answer("chooser", state)
    assert nearest("chooser", state) == {**state, **legal}


def test_controls_are_those_of_the_state_and_hide_what_is_compared() -> None:
    described = controls("chooser", {})
    assert {control["name"] for control in described} == set(DEFAULTS)
    shown = {
        compare: {one["name"] for one in described if is_shown(one, {"compare": compare})}
        for compare in COMPARED
    }
    assert shown["schedules"] ^ shown["transports"] == {"schedule", "transport"}


def test_a_page_holds_the_ranking_and_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("IPython")
    from dualpipe_ref.plot import chooser

    from .test_live import content_of

    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = chooser(**SMALL)
    assert content_of(shown)["result"] == answer("chooser", SMALL)
    assert shown.data.count("<svg") == 2
    fallback = shown.data.split("dualpipe-fallback")[1]
    assert "First is " in fallback
    assert fallback.count("<th scope=") >= 8


def test_a_figure_is_to_scale() -> None:
    pytest.importorskip("matplotlib")
    from dualpipe_ref.plot.ledger_figure import draw_ledger

    data = answer("chooser", SMALL)
    axes = draw_ledger(data["bars"], data["palettes"]["dark"]).axes[0]
    widths = [patch.get_window_extent().width for patch in axes.patches]
    values = [part["value"] for bar in data["bars"] for part in bar["parts"]]
    assert [width / max(widths) for width in widths] == pytest.approx(
        [value / max(values) for value in values]
    )
    with pytest.raises(InputError, match="at least one bar"):
        draw_ledger([], data["palettes"]["dark"])
