"""The explorer's widgets: a changed control changes the picture, or says why it cannot."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("ipywidgets")

import ipywidgets

from dualpipe_ref.plot.explorer import Explorer
from dualpipe_ref.plot.live import answer
from dualpipe_ref.plot.live_figure import calculator, drag_lanes, explore, sms, volumes
from dualpipe_ref.plot.widget import LanesView, LedgerView, TimelineViewer

START = {"kind": "dualpipe", "ranks": 4, "microbatches": 8, "FB": 3}


def explorer(**changes: Any) -> Explorer:
    return Explorer("timeline", {**START, **changes})


def test_it_shows_its_first_state() -> None:
    shown = explorer()
    assert isinstance(shown.shown, TimelineViewer)
    assert shown.shown.data == answer("timeline", START)
    assert shown.mend.layout.display == "none"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "1f1b"),
        ("ranks", 2),
        ("microbatches", 10),
        ("F", "3/2"),
        ("FB", ""),
        ("latency", "0.1"),
    ],
)
def test_a_change_of_a_control_changes_the_picture(name: str, value: Any) -> None:
    shown = explorer()
    before = shown.shown.data
    shown.inputs[name].value = value
    assert shown.shown.data == answer("timeline", {**START, name: value})
    # F + B is 3 here: an empty FB changes no time, but the title.
    assert shown.shown.data != before
    assert shown.message.value == ""


def test_stages_a_rank_can_be_moved_where_they_have_a_use() -> None:
    shown = explorer(kind="1f1b")
    chunks = shown.inputs["chunks"]
    assert chunks.layout.display == "none"
    shown.inputs["kind"].value = "interleaved"
    assert chunks.layout.display is None
    chunks.value = 3
    state = {**START, "kind": "interleaved", "chunks": 3}
    assert shown.shown.data == answer("timeline", state)
    shown.inputs["kind"].value = "1f1b"
    assert chunks.layout.display == "none"


def test_an_illegal_size_keeps_the_picture_and_offers_a_legal_one() -> None:
    shown = explorer()
    before = shown.shown.data
    shown.inputs["microbatches"].value = 9
    assert shown.shown.data == before
    assert "DualPipe needs m even and at least 2P - 2" in shown.message.value
    assert (shown.mend.description, shown.mend.layout.display) == ("use m = 10", "")
    shown.mend.click()
    assert shown.inputs["microbatches"].value == 10
    assert shown.shown.data == answer("timeline", {**START, "microbatches": 10})
    assert (shown.message.value, shown.mend.layout.display) == ("", "none")


def test_another_kind_may_need_another_size() -> None:
    shown = explorer(kind="1f1b", ranks=5, microbatches=64)
    shown.inputs["kind"].value = "chimera"
    assert shown.mend.layout.display == ""
    shown.mend.click()
    assert shown.message.value == ""
    state = {name: shown.inputs[name].value for name in ("kind", "ranks", "microbatches")}
    assert answer("timeline", {**START, **state}) == shown.shown.data


def test_words_from_outside_are_no_markup() -> None:
    shown = explorer()
    shown.inputs["F"].value = "<b>1</b>"
    assert "<b>" not in shown.message.value
    assert "&lt;b&gt;" in shown.message.value


def test_a_legal_change_takes_the_message_away() -> None:
    shown = explorer()
    shown.inputs["F"].value = "x"
    assert shown.message.value
    shown.inputs["F"].value = "2"
    assert shown.message.value == ""


def test_explore_and_calculator_give_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUALPIPE_REF_PAGE", raising=False)
    boxes = (
        (explore("1f1b"), TimelineViewer),
        (calculator(), LedgerView),
        (drag_lanes(), LanesView),
        (volumes(), LedgerView),
        (sms(), LedgerView),
    )
    for box, view in boxes:
        assert isinstance(box, ipywidgets.VBox)
        assert isinstance(box.children[-1], view)


def test_the_calculator_answers() -> None:
    shown = Explorer("waiting", {})
    before = shown.shown.data
    shown.inputs["hidden"].value = 0.5
    assert shown.shown.data == answer("waiting", {"hidden": 0.5})
    assert shown.shown.data != before


def test_an_order_that_the_reader_makes_in_the_view_is_answered() -> None:
    shown = Explorer("lanes", {"layers": 2, "combine": 2})
    best = shown.shown.data["orders"]["best"]
    shown.shown.order = best  # as the view sets it
    assert shown.shown.data == answer("lanes", {"layers": 2, "combine": 2, "order": best})
    assert shown.shown.data["sentence"].startswith("This order takes 13.")
    shown.shown.order = {**best, "communication": best["communication"][::-1]}
    assert shown.shown.data["problem"]
    assert shown.message.value == ""
    shown.inputs["layers"].value = 1
    assert shown.shown.data == answer("lanes", {"layers": 1, "combine": 2})
