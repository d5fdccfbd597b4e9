"""Schedule files: the released lists load; nothing that a file may hold raises anything but InputError."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.schedule.formats import Loaded, from_dict, load, to_dict
from dualpipe_ref.schedule.verify import find_violations

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.name for path in GOLDEN.glob("*.json"))
GOOD = to_dict(build("dualpipe", 4, 6))


def problems(loaded: Loaded) -> tuple:
    return find_violations(loaded.schedule) + loaded.violations


def verdict(data: object) -> str:
    """'' for a right schedule, else what is wrong with the data. Nothing but InputError may be raised."""
    try:
        return "\n".join(map(str, problems(from_dict(data))))
    except InputError as error:
        text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    return text


def edited(*path: Any, value: Any) -> dict[str, Any]:
    """The good file with one value set."""
    data: Any = copy.deepcopy(GOOD)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


@pytest.mark.parametrize("name", NAMES)
def test_released_lists_load_and_verify(name: str) -> None:
    loaded = load(GOLDEN / name)
    assert problems(loaded) == ()
    assert find_violations(loaded.schedule, rendezvous=False) == ()
    again = from_dict(json.loads(json.dumps(to_dict(loaded.schedule))))
    assert again == loaded
    published = json.loads((GOLDEN / name).read_text())
    for field in ("kind", "P", "m", "ops"):
        assert to_dict(loaded.schedule)[field] == published[field]


def commits(data: dict[str, Any]) -> list[list[list]]:
    return [
        [sorted(event["commit"]) for event in row if "commit" in event]
        for row in data["ops_with_commits"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_released_commits_come_back(name: str) -> None:
    """Up to the order of sends and receives within one commit, which has no meaning across peers."""
    published = json.loads((GOLDEN / name).read_text())
    assert commits(to_dict(load(GOLDEN / name).schedule)) == commits(published)


def test_what_may_be_left_out() -> None:
    for field in ("chunks", "ops_with_commits"):
        data = {key: value for key, value in GOOD.items() if key != field}
        assert from_dict(data) == from_dict(GOOD)
    assert verdict(edited("ops_with_commits", value=None)) == ""
    assert verdict({**GOOD, "note": "anything else is ignored", "step_counts": [1]}) == ""
    looped = to_dict(build("interleaved", 2, 4, 3))
    del looped["chunks"]
    assert from_dict(looped).schedule == build("interleaved", 2, 4, 3)


CASES: dict[str, tuple[object, str]] = {
    "no object": ([GOOD], "a schedule file is one JSON object; got a list"),
    "no kind": ({k: v for k, v in GOOD.items() if k != "kind"}, "has kind, P, m and ops; got no 'kind'"),
    "no ops": ({k: v for k, v in GOOD.items() if k != "ops"}, "has kind, P, m and ops; got no 'ops'"),
    "unknown kind": (edited("kind", value="zbv"), "got 'zbv'; nearest legal: 'zb-v'"),
    "kind is a list": (edited("kind", value=["dualpipe"]), "a schedule is one of gpipe"),
    "P is text": (edited("P", value="4"), "P must be an int of at least 2; got P = '4'"),
    "P is true": (edited("P", value=True), "got P = True"),
    "P is 4.0": (edited("P", value=4.0), "got P = 4.0; nearest legal: P = 4"),
    "P is 1": (edited("P", value=1), "got P = 1; nearest legal: P = 2"),
    "P is 5": (edited("P", value=5), "ops has one list a rank; got 4 for P = 5"),
    "m is negative": (edited("m", value=-6), "m must be an int of at least 1; got m = -6"),
    "m is odd": (edited("m", value=7), "dualpipe needs an even m; got m = 7; nearest legal: m = 8"),
    "m is huge": (edited("m", value=10**12), "P, m and chunks agree with the ops; got 8000000000000 chunks"),
    "m is larger": (edited("m", value=8), "never runs F and I and W of micro-batch 3"),
    "m is smaller": (edited("m", value=4), "mb is an int from 0 to 1; got mb = 2 in F on rank 0"),
    "m is null": (edited("m", value=None), "got m = None"),
    "chunks is 3": (edited("chunks", value=3), "dualpipe has 2 stages a rank; got chunks = 3"),
    "chunks is text": (edited("chunks", value="2"), "chunks must be an int of at least 1"),
    "chunks is false": (edited("chunks", value=False), "got chunks = False"),
    "ops is an object": (edited("ops", value={}), "ops is a list; got {}"),
    "ops of three ranks": (edited("ops", value=GOOD["ops"][:3]), "got 3 for P = 4"),
    "ops of a rank is null": (edited("ops", 2, value=None), "each rank's part of ops is a list; got None"),
    "ops of no rank": (edited("ops", value=[]), "got 0 for P = 4"),
    "no ops of a rank": (edited("ops", 1, value=[]), "ops_with_commits has F0.0 where ops has another"),
    "an op is a list": (edited("ops", 0, 0, value=["F", 0, 0]), "each op of rank 0 is one JSON object"),
    "op unknown": (edited("ops", 3, 2, "op", value="X"), "an op is one of F, I, W, B, FB; got 'X' on rank 3"),
    "op is a list": (edited("ops", 3, 2, "op", value=["F"]), "got ['F'] on rank 3"),
    "op in lower case": (edited("ops", 3, 2, "op", value="f"), "got 'f' on rank 3; nearest legal: 'F'"),
    "dir out of range": (edited("ops", 0, 0, "dir", value=2), "dir is an int from 0 to 1; got dir = 2 in F"),
    "dir negative": (edited("ops", 0, 0, "dir", value=-1), "got dir = -1 in F on rank 0; nearest"),
    "dir is true": (edited("ops", 0, 0, "dir", value=True), "got dir = True in F on rank 0"),
    "mb out of range": (edited("ops", 0, 0, "mb", value=3), "mb is an int from 0 to 2; got mb = 3"),
    "mb is 0.0": (edited("ops", 0, 0, "mb", value=0.0), "got mb = 0.0"),
    "mb is NaN": (edited("ops", 0, 0, "mb", value=math.nan), "got mb = nan"),
    "no mb": (edited("ops", 0, 0, value={"op": "F", "dir": 0}), "got mb = None in F on rank 0"),
    "FB without b": (edited("ops", 0, 0, value={"op": "FB", "f": {"dir": 0, "mb": 0}}), "b of an FB on rank 0"),
    "FB of text": (edited("ops", 0, 0, value={"op": "FB", "f": "0.0", "b": "0.0"}), "f of an FB on rank 0"),
    "ops disagree": (
        edited("ops", 0, 0, "mb", value=1),
        "rank 0 at F0.1 (op 0): ops_with_commits has F0.0 where ops has another",
    ),
    "commits of two ranks": (
        edited("ops_with_commits", value=GOOD["ops_with_commits"][:2]),
        "ops_with_commits has one list a rank; got 2 for P = 4",
    ),
    "commits without ops": (
        edited("ops_with_commits", 0, value=[]),
        "rank 0 never runs F and I and W of micro-batch 0 in slot 0",
    ),
    "commit to a third rank": (
        edited("ops_with_commits", 0, 1, "commit", value=[["send", 3]]),
        "has one more send with rank 3 than there are messages",
    ),
    "commit to itself": (
        edited("ops_with_commits", 0, 1, "commit", value=[["send", 0]]),
        "has one more send with rank 0 than there are messages",
    ),
    "commit to no rank": (
        edited("ops_with_commits", 0, 1, "commit", value=[["send", 4]]),
        'a commit lists ["send", rank] and ["recv", rank]; got [\'send\', 4] on rank 0',
    ),
    "commit to rank -1": (edited("ops_with_commits", 0, 1, "commit", value=[["send", -1]]), "got ['send', -1]"),
    "commit to true": (edited("ops_with_commits", 0, 1, "commit", value=[["send", True]]), "got ['send', True]"),
    "commit of three": (edited("ops_with_commits", 0, 1, "commit", value=[["send", 1, 1]]), "got ['send', 1, 1]"),
    "commit of text": (edited("ops_with_commits", 0, 1, "commit", value="send"), "a commit is a list; got 'send'"),
    "commit of a pair": (edited("ops_with_commits", 0, 1, "commit", value=["send", 1]), "got 'send' on rank 0"),
    "commit of numbers": (edited("ops_with_commits", 0, 1, "commit", value=[[0, 1]]), "got [0, 1] on rank 0"),
    "commit in the wrong direction": (
        edited("ops_with_commits", 0, 1, "commit", value=[["recv", 1]]), "is never sent",
    ),
    "commit dropped": (edited("ops_with_commits", 0, 1, "commit", value=[]), "is never sent"),
    "commit doubled": (
        edited("ops_with_commits", 0, 1, "commit", value=[["send", 1], ["send", 1]]),
        "is sent before it is made",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_malformed(case: str) -> None:
    data, expected = CASES[case]
    assert expected in verdict(data)


def test_long_values_are_cut_short() -> None:
    for value in ("x" * 10**6, ["x"] * 10**6, {"x" * 10**6: 1}, 10**4000, [[[[[[[[[1]]]]]]]]]):
        for path in (
            ["kind"],
            ["P"],
            ["ops", 0, 0, "mb"],
            ["ops", 0, 0, "op"],
            ["ops", 0],
            ["chunks"],
        ):
            assert verdict(edited(*path, value=value))


def test_a_stage_number_does_not_ask_for_room() -> None:
    data = to_dict(build("interleaved", 2, 4, 2))
    del data["chunks"]
    for slot in (50, 10**6, 10**18, 10**4000):
        data["ops"][0][0] = {"op": "F", "dir": slot, "mb": 0}
        assert verdict(data)
