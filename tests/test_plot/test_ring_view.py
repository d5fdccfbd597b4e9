"""The live view of rings: what it shows is what the search found, and memory follows the steps."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.protocol.trace import Event
from dualpipe_ref.plot.live import answer, nearest
from dualpipe_ref.plot.live_figure import PAGE, rings
from dualpipe_ref.plot.ring_data import COLOURS, Place, Slots, Word, ring_data
from dualpipe_ref.plot.ring_view import MISTAKES, MOST

STATES = st.fixed_dictionaries(
    {
        "mistake": st.sampled_from(list(MISTAKES)),
        "slots": st.integers(1, 3),
        "messages": st.integers(1, 5),
    }
)


@settings(max_examples=40)
@given(STATES)
def test_the_verdict_is_that_of_the_search(state: dict[str, Any]) -> None:
    data = answer("ring", state)
    json.dumps(data, allow_nan=False)
    found = MISTAKES[state["mistake"]].explored(state["messages"], state["slots"])
    assert f"{found.states:,} states" in data["sentence"]
    assert (" right" in data["sentence"]) == found.is_right
    if not found.is_right:
        assert f" {found.kind} after" in data["sentence"]
        assert data["facts"][2]["value"] == f"{len(data['steps']) - 1} steps"


@settings(max_examples=40)
@given(STATES)
def test_memory_follows_the_steps(state: dict[str, Any]) -> None:
    """Each step changes at most the place that it is about, and one that says so does."""
    steps = answer("ring", state)["steps"]
    for before, step in pairwise(steps):
        changed = [
            at
            for at, (one, other) in enumerate(zip(before["values"], step["values"], strict=True))
            if one != other
        ]
        assert changed in ([], [step["at"]])
        verb = step["what"].split()[0]
        if verb in ("reads", "sees"):
            assert changed == []
        if verb == "stores":
            assert step["values"][step["at"]] == int(step["what"].split()[1])


def test_a_read_that_is_stale_says_what_is_there() -> None:
    last = answer("ring", {"mistake": "no acquire"})["steps"][-1]
    assert last["what"] == "reads slot [0].1: nothing – stale: 0 is there"


def test_a_ring_that_is_right_shows_a_whole_run() -> None:
    data = answer("ring", {"mistake": "none", "slots": 2, "messages": 3})
    values = {place["words"][0]["label"]: place["words"][0]["at"] for place in data["places"]}
    assert [data["steps"][-1]["values"][values[name]] for name in ("head", "tail")] == [3, 3]


def test_each_word_lies_with_who_polls_it() -> None:
    sender, receiver = answer("ring", {})["places"]
    assert [word["label"] for word in sender["words"]] == ["head"]
    assert [word["label"] for word in receiver["words"]] == ["tail"]
    assert sender["slots"] == []
    assert [mark["label"] for mark in receiver["marks"]] == ["head", "tail"]


def test_colours_tell_messages_apart() -> None:
    place = Place("here", (Slots("ring", (("a",), ("b",))),), (Word("w", "w", ""),))
    events = [
        Event("one", "", "writes", name, value, True) for name, value in (("a", 20), ("b", 31))
    ]
    data = ring_data("", events, [place], message_of=lambda value: value // 10)
    assert data["colours"] == {"0": 0, "20": 2, "31": 3}


def test_what_overwrites_a_slot_has_another_colour() -> None:
    for size in range(1, MOST["slots"] + 1):
        assert size % COLOURS
    for colours in answer("ring", {})["palettes"].values():
        assert len(set(colours["fills"])) == COLOURS


@pytest.mark.parametrize("name", MOST)
def test_sizes_have_ends(name: str) -> None:
    with pytest.raises(InputError, match=name):
        answer("ring", {name: 99})
    assert nearest("ring", {name: 99}) == {name: MOST[name]}


def test_an_unknown_mistake() -> None:
    with pytest.raises(InputError, match="a mistake is one of none, "):
        answer("ring", {"mistake": "bad luck"})


def test_a_page_without_scripts_tells_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAGE, "1")
    shown = rings(mistake="no release", slots=1, messages=1).data
    assert "<li>receiver: reads slot [0].1: nothing" in shown
    assert shown.count("<li>") == 7
