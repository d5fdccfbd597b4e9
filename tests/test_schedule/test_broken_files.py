"""Files that are cut off, are no JSON, or hold anything at all."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.schedule import KINDS, InputError, build
from dualpipe_ref.schedule.formats import load, to_dict

from .test_formats import GOLDEN, GOOD, verdict

SMALL = [to_dict(build(kind, 2, 4)) for kind in KINDS]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_cut_off_anywhere(tmp_path: Path) -> None:
    whole = (GOLDEN / "dualpipe_P8_m20.json").read_bytes()
    path = tmp_path / "cut.json"
    for end in range(0, len(whole.rstrip()) - 1, 50):
        path.write_bytes(whole[:end])
        assert refusal(path).startswith(f"a schedule file is one JSON object; got {path}: ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02\xff\xfe",
        b"\x89PNG\r\n\x1a\n",
        "é".encode("latin-1"),
        json.dumps(GOOD).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        json.dumps(GOOD).replace("6", "NaN", 1).encode(),
        json.dumps(GOOD).replace("6", "-Infinity", 1).encode(),
        json.dumps(GOOD).replace("6", "9" * 5000, 1).encode(),
        b"null",
        b"3",
        b'"dualpipe"',
        b"[]",
        json.dumps(GOOD).encode() * 2,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_no_schedule(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert refusal(path).startswith("a schedule file is one JSON object; got ")


@pytest.mark.parametrize("depth", [50, 500, 900, 950, 990, 1000, 5_000, 200_000])
@pytest.mark.parametrize("where", ["kind", "P", "ops", "ops_with_commits"])
def test_deep_nesting(depth: int, where: str, tmp_path: Path) -> None:
    """Also where the parser takes what Python cannot print."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = json.dumps({**GOOD, where: "HERE"})
        path = tmp_path / "deep.json"
        path.write_text(text.replace('"HERE"', opening * depth + "1" + closing * depth))
        assert refusal(path)


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json").endswith("none.json: No such file or directory")
    assert refusal(tmp_path).endswith(": Is a directory")
    assert refusal(tmp_path / "x" / "y.json").startswith("a schedule file must be readable; got ")
    assert refusal(tmp_path / ("x" * 300)).endswith("File name too long")
    assert refusal(Path("a\0b"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["F", "B", "FB", "send", "recv", "dualpipe", 2, 4, 10**9]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["kind", "P", "m", "chunks", "ops", "op", "dir", "mb", "f", "b", "commit"])
        | st.text(max_size=3),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_json_at_all(data: Any) -> None:
    assert verdict(data)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SMALL), st.dictionaries(st.sampled_from(sorted(GOOD)), json_values, min_size=1)
)
def test_any_json_in_the_fields(good: dict, fields: dict) -> None:
    verdict({**good, **fields})


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    if isinstance(value, dict):
        keys: Any = list(value)
    else:
        keys = range(len(value)) if isinstance(value, list) else ()
    inner = [(value, key) for key in keys]
    return inner + [place for key in keys for place in places(value[key])]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_edit_of_a_good_file(data: st.DataObject) -> None:
    """One to four values replaced, dropped, doubled or swapped, at any depth."""
    edited = copy.deepcopy(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        found = places(edited)
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        edit(container, key, data)
    verdict(edited)


def edit(container: Any, key: Any, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(["replace", "drop", "double", "swap"]))
    if action == "drop":
        del container[key]
    elif action == "replace" or isinstance(container, dict):
        container[key] = data.draw(json_values)
    elif action == "double":
        container.insert(data.draw(st.integers(0, len(container))), container[key])
    else:
        other = data.draw(st.integers(0, len(container) - 1))
        container[key], container[other] = container[other], container[key]
