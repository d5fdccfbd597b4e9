"""Views answer their controls, in a page as in a notebook."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, InputError, build, simulate
from dualpipe_ref.plot.controls import is_shown
from dualpipe_ref.plot.live import VIEWS, answer, controls, nearest
from dualpipe_ref.plot.live_figure import calculator, drag_lanes, explore, script_json, volumes
from dualpipe_ref.plot.timeline_view import timeline_of
from dualpipe_ref.schedule import KINDS

# A view whose first state takes long is tried with a small one.
SMALL: dict[str, dict[str, Any]] = {
    "chooser": {"device": "B200", "gpus": 128, "pipeline": 2, "microbatches": 4, "layers": 6}
}
TEXTS = st.fractions(Fraction(1, 9), 9, max_denominator=9).map(str)


@given(st.sampled_from(KINDS), TEXTS, TEXTS)
def test_costs_as_text_stay_exact(kind: str, forward: str, pair: str) -> None:
    state = {"kind": kind, "ranks": 4, "microbatches": 8, "F": forward, "FB": pair}
    costs = Costs(F=Fraction(forward), FB=Fraction(pair))
    makespan = simulate(build(kind, 4, 8), costs).makespan
    told = answer("timeline", state)["summary"].split(",")[0].removeprefix("makespan ").split()[0]
    assert Fraction(told) == makespan


def test_a_decimal_is_what_is_written() -> None:
    as_float = answer("timeline", {"FB": 2.2})
    as_text = answer("timeline", {"FB": "11/5"})
    assert as_float["summary"] == as_text["summary"]
    assert "274/5 = 54.8" in as_float["summary"]


def test_an_empty_cost_follows_from_the_others() -> None:
    state: dict[str, Any] = {"F": 2, "FB": ""}
    assert answer("timeline", state) == answer("timeline", {"F": 2, "FB": None})
    assert answer("timeline", state)["times"] == answer("timeline", {"F": 2, "FB": 4})["times"]


@given(st.sampled_from(KINDS), st.integers(0, 70), st.integers(-1, 600))
def test_the_nearest_state_has_an_answer(kind: str, ranks: int, microbatches: int) -> None:
    state = {"kind": kind, "ranks": ranks, "microbatches": microbatches % 90}
    mended = nearest("timeline", state)
    if mended is not None:
        answer("timeline", mended)
    try:
        answer("timeline", state)
    except InputError:
        assert mended != state
    else:
        assert mended == state


@pytest.mark.parametrize(
    ("state", "legal"),
    [
        ({"kind": "dualpipe", "ranks": 8, "microbatches": 21}, {"microbatches": 22}),
        ({"kind": "dualpipe", "ranks": 8, "microbatches": 2}, {"microbatches": 14}),
        ({"kind": "dualpipe", "ranks": 7, "microbatches": 20}, {"ranks": 8}),
        ({"kind": "1f1b", "ranks": 99, "microbatches": 20}, {"ranks": 64}),
        ({"kind": "1f1b", "F": "0"}, {"F": 1}),
        ({"kind": "1f1b", "latency": "soon"}, {"latency": 1}),
    ],
)
def test_what_is_offered(state: dict[str, Any], legal: dict[str, Any]) -> None:
    assert nearest("timeline", state) == {**state, **legal}


def test_an_unknown_kind_has_a_near_name_and_no_number() -> None:
    with pytest.raises(InputError, match="nearest legal: 'zb-v'"):
        answer("timeline", {"kind": "zbv"})
    assert nearest("timeline", {"kind": "zbv"}) is None


@pytest.mark.parametrize("view", VIEWS)
def test_an_unknown_part_of_a_state(view: str) -> None:
    with pytest.raises(InputError, match="the state of this view has"):
        answer(view, {"rank": 3})


def test_an_unknown_view() -> None:
    with pytest.raises(InputError, match="nearest legal: 'timeline'"):
        answer("timelines", {})


@pytest.mark.parametrize("view", VIEWS)
def test_controls_show_the_state_and_every_change_of_one_is_taken(view: str) -> None:
    base = SMALL.get(view, {})
    described = controls(view, base)
    json.dumps(described, allow_nan=False)
    for control in described:
        if control["type"] == "select":
            changes = control["options"]
        elif control["type"] == "range":
            changes = [control["value"], control["value"] + 2 * control["step"]]
        else:
            changes = [control["value"], 2, "7/2" if control["step"] < 1 else "3"]
        for value in changes:
            state = nearest(view, {**base, control["name"]: value})
            assert state is not None, control["name"]
            shown = {entry["name"]: entry["value"] for entry in controls(view, state)}
            assert shown[control["name"]] == state[control["name"]]


def test_choices_limit_the_kinds() -> None:
    (kinds, *_) = controls("timeline", {"kind": "1f1b", "choices": ["gpipe", "1f1b"]})
    assert kinds["options"] == ["gpipe", "1f1b"]


@given(st.integers(2, 8), st.integers(1, 3))
def test_stages_a_rank_are_those_of_the_schedule(chunks: int, rounds: int) -> None:
    state = {"kind": "interleaved", "ranks": 4, "microbatches": 4 * rounds, "chunks": chunks}
    data = answer("timeline", state)
    assert data["slots"] == chunks
    assert data["title"].endswith(f", v = {chunks}")
    assert answer("timeline", {**state, "chunks": str(chunks)}) == data


@given(st.integers(2, 8), TEXTS)
def test_equal_work_is_that_of_one_stage_a_rank(chunks: int, forward: str) -> None:
    sizes = {"ranks": 4, "microbatches": 8, "F": forward, "equal_work": True}
    cut = timeline_of({"kind": "interleaved", "chunks": chunks, **sizes})[0]
    whole = timeline_of({"kind": "1f1b", **sizes})[0]
    assert cut.busy == whole.busy
    assert cut.idle == tuple(idle / chunks for idle in whole.idle)
    assert timeline_of({"kind": "1f1b", **sizes, "equal_work": False})[0].ends == whole.ends


@pytest.mark.parametrize(("chunks", "legal"), [(1, 2), (99, 8), ("many", 2)])
def test_stages_a_rank_that_a_view_has_not(chunks: object, legal: int) -> None:
    state = {"kind": "interleaved", "chunks": chunks}
    with pytest.raises(InputError, match="chunks"):
        answer("timeline", state)
    assert nearest("timeline", state) == {**state, "chunks": legal}


def test_stages_a_rank_are_shown_where_they_can_be_chosen() -> None:
    names = {
        kind: [entry["name"] for entry in controls("timeline", {"kind": kind, "choices": [kind]})]
        for kind in KINDS
    }
    assert [kind for kind in KINDS if "chunks" in names[kind]] == ["interleaved"]
    (chunks,) = (entry for entry in controls("timeline", {}) if entry["name"] == "chunks")
    assert {kind: is_shown(chunks, {"kind": kind}) for kind in KINDS} == {
        kind: kind == "interleaved" for kind in KINDS
    }


def test_the_ledger_adds_up() -> None:
    data = answer("waiting", {"gpus": 2048, "waiting": "1/2", "hidden": 1, "reserved_sms": 0})
    before, after = (sum(part["value"] for part in bar["parts"]) for bar in data["bars"])
    assert (before, after) == (1, 0.5)
    assert data["sentence"].startswith(
        "2,048 GPUs that wait 50 % of their time do the work of 1,024."
    )
    facts = {fact["label"]: fact["value"] for fact in data["facts"]}
    assert facts["speedup"] == "2x"


class Scripts(html.parser.HTMLParser):
    """The contents of the <script> elements, as a browser finds them, and all other words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts.append(data)


def content_of(shown: Any) -> dict[str, Any]:
    (script,) = Scripts(shown.data).scripts
    content: dict[str, Any] = json.loads(script)
    return content


def test_a_page_holds_the_answer_and_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("IPython")
    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = explore("1f1b", ranks=4, microbatches=8, choices=["gpipe", "1f1b"], alt='a "bold" <b>')
    content = content_of(shown)
    assert set(content) == {"view", "state", "controls", "result"}
    assert content["result"] == answer("timeline", content["state"])
    assert shown.data.startswith('<div class="dualpipe-live" data-view="timeline">')
    assert 'aria-label="a &quot;bold&quot; &lt;b&gt;"' in shown.data
    assert shown.data.count("<svg") == 2
    assert "\n\n" not in shown.data


def test_a_figure_without_words_gets_some(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("IPython")
    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = explore("1f1b", ranks=2, microbatches=2, costs={"F": "3/2"})
    (alt,) = re.findall(r'aria-label="([^"]*)"', shown.data)
    assert alt.startswith("Timeline of 1f1b, P = 2, m = 2, F = 3/2: makespan 21/2 = 10.5,")


def test_a_page_with_the_calculator(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = calculator(gpus=1000)
    assert content_of(shown)["state"] == {"gpus": 1000}
    assert "1,000 GPUs that wait" in shown.data.split("dualpipe-fallback")[1]


def test_a_page_with_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = volumes(node_limit=8)
    content = content_of(shown)
    assert content["state"] == {"node_limit": 8}
    assert content["result"] == answer("volume", {"node_limit": 8})
    assert "A token reaches 5.29 of 8 nodes" in shown.data.split("dualpipe-fallback")[1]


def test_a_page_with_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("IPython")
    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = drag_lanes(layers=2, combine=2)
    content = content_of(shown)
    assert content["result"] == answer("lanes", {"layers": 2, "combine": 2})
    assert shown.data.count("<svg") == 2
    assert "overlapped pair. This order takes 14." in shown.data


def test_json_cannot_leave_its_script() -> None:
    content = {"title": "</script><script>alert(1)</script><!--"}
    (script,) = Scripts(f"<script>{script_json(content)}</script>").scripts
    assert json.loads(script) == content
    assert len(Scripts(f"<script>{json.dumps(content)}</script>").scripts) != 1


def test_answers_need_the_standard_library_only() -> None:
    code = (
        "import sys; from dualpipe_ref.plot.live import answer, controls, nearest\n"
        "for view in ('timeline', 'waiting', 'lanes', 'footprint', 'volume', 'chooser'): answer(view, {}), controls(view, {})\n"
        "bad = {'matplotlib', 'numpy', 'IPython', 'ipywidgets', 'anywidget', 'traitlets'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
def test_without_widgets_the_error_says_what_to_install(missing: str) -> None:
    pytest.importorskip("anywidget")
    code = (
        f"import sys; sys.modules['{missing}'] = None\nfrom dualpipe_ref.plot import explore\n"
        "explore('1f1b', ranks=2, microbatches=2)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 1
    assert "pip install anywidget" in result.stderr or "pip install ipywidgets" in result.stderr
