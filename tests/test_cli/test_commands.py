"""What each command prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref import __version__
from dualpipe_ref.schedule import KINDS, build
from dualpipe_ref.schedule.formats import from_dict, to_dict

from .command import GOLDEN, P8, call, refused, run

RELEASED = GOLDEN / "dualpipe_P8_m20.json"


def test_schedule_prints_one_json_object() -> None:
    data = run("schedule", "dualpipe", *P8, "--format", "json").data
    assert list(data) == ["kind", "P", "m", "chunks", "ops", "ops_with_commits"]
    assert (data["kind"], data["P"], data["m"], data["chunks"]) == ("dualpipe", 8, 20, 2)
    assert data["ops"] == json.loads(RELEASED.read_text())["ops"]


@pytest.mark.parametrize("kind", KINDS)
def test_schedule_prints_every_kind(kind: str) -> None:
    size = ("--ranks", 4, "--microbatches", 8)
    loaded = from_dict(call("schedule", kind, *size, "--format", "json").data)
    assert loaded == (build(kind, 4, 8), ())
    text = call("schedule", kind, *size)
    lines = [
        f"rank {rank}: {' '.join(map(str, ops))}" for rank, ops in enumerate(loaded.schedule.ops)
    ]
    assert text == (0, "\n".join(lines) + "\n", "")


def test_schedule_takes_chunks() -> None:
    arguments = ("schedule", "interleaved", "--ranks", 2, "--microbatches", 4, "--format", "json")
    assert call(*arguments, "--chunks", 3).data == to_dict(build("interleaved", 2, 4, 3))
    assert call(*arguments).data == to_dict(build("interleaved", 2, 4, 2))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.name)
def test_verify_accepts_the_released_lists(path: Path) -> None:
    for options in ((), ("--sends", "eager"), ("--published",), ("--max-activations", 9)):
        assert call("verify", path, *options) == (0, call("verify", path).out, "")
    assert call("verify", path).out.startswith(f"{path}: Schedule('dualpipe")
    assert call("verify", path).out.endswith(" messages) keeps every rule\n")


def written(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    data = json.loads(RELEASED.read_text())
    data["ops"][0][0]["mb"] = 1
    reason = refused(run("verify", written(tmp_path / "doubled.json", data)), status=1)
    assert reason.startswith("messages: rank 0 at F0.1 (op 0): ops_with_commits has F0.0")
    del data["ops_with_commits"]
    reason = refused(run("verify", written(tmp_path / "doubled.json", data)), status=1)
    assert reason.splitlines() == [
        "completeness: rank 0 at F0.1 (op 1): F of micro-batch 1 in slot 0 runs a second time",
        "completeness: rank 0 never runs F of micro-batch 0 in slot 0",
        "order on one rank: rank 0 at FB(F1.4, B0.0) (op 18): F of micro-batch 0 in slot 0 has not run yet",
    ]


def test_verify_asks_for_the_published_order(tmp_path: Path) -> None:
    """Backwards in the opposite order are as right, but not what GPipe does."""
    data = to_dict(build("gpipe", 2, 2))
    del data["ops_with_commits"]
    for ops in data["ops"]:
        ops[2], ops[3] = ops[3], ops[2]
    path = written(tmp_path / "backwards.json", data)
    assert call("verify", path).status == 0
    assert refused(call("verify", path, "--published"), status=1).splitlines() == [
        f"published order: rank {rank} at B0.1 (op 2): the published gpipe has B0.0 here"
        for rank in (0, 1)
    ]


def test_verify_asks_for_bounds() -> None:
    reason = refused(call("verify", RELEASED, "--max-activations", 8), status=1)
    assert reason.startswith("activation bound: rank 0 at FB(F0.7, B1.3) (op 17): holds 9 chunks")
    assert len(reason.splitlines()) == 8
    assert refused(call("verify", RELEASED, "--max-pending-weights", 3), status=1)
    assert call("verify", RELEASED, "--max-pending-weights", 4).status == 0


def test_verify_tells_one_way_of_sending_from_the_other(tmp_path: Path) -> None:
    """Both ranks send before they receive."""
    data = to_dict(build("1f1b", 2, 2))
    first, second = data["ops"]
    send, receive = ({"commit": [[action, 1]]} for action in ("send", "recv"))
    back, ahead = ({"commit": [[action, 0]]} for action in ("send", "recv"))
    data["ops_with_commits"] = [
        [first[0], send, first[1], send, receive, first[2], receive, first[3]],
        [ahead, second[0], second[1], back, ahead, second[2], second[3], back],
    ]
    path = written(tmp_path / "blocks.json", data)
    assert call("verify", path, "--sends", "eager").status == 0
    assert refused(call("verify", path), status=1).startswith(
        "deadlock: rank 0 at B0.0 (op 2): sends"
    )
    assert call("simulate", path).status == 0
    assert refused(call("simulate", path, "--sends", "rendezvous"), status=1).startswith(
        "deadlock: "
    )


def test_simulate_prints_the_numbers() -> None:
    data = run("simulate", "dualpipe", *P8, "--cost", "FB=2.2", "--format", "json").data
    assert data["makespan"] == 54.8
    assert data["idle"] == [2, 2.8, 3.6, 3.6, 3.6, 3.6, 2.8, 2]
    assert data["busy"] == pytest.approx([54.8 - idle for idle in data["idle"]])
    assert data["peak_activations"] == data["peak_held"] == [9] * 8
    assert (data["kind"], data["P"], data["m"], data["sends"]) == ("dualpipe", 8, 20, "eager")
    for rank, idle in enumerate(data["idle"]):
        parts = [data[f"idle_{part}"][rank] for part in ("start", "inside", "end")]
        assert sum(parts) == pytest.approx(idle)
    assert sum(data["critical_path"].values()) == pytest.approx(54.8)


# P, m: makespan and worst idle time of 1f1b, zb-h1, dualpipe at FB = 3, dualpipe at FB = 2.2.
TABLE = {
    (4, 8): [(33, 9), (27, 3), (26, 2), (22.8, 1.2)],
    (8, 20): [(81, 21), (67, 7), (66, 6), (54.8, 3.6)],
    (16, 48): [(189, 45), (159, 15), (158, 14), (127.6, 8.4)],
}


@pytest.mark.parametrize("size", TABLE)
def test_simulate_gives_the_known_makespans(size: tuple[int, int]) -> None:
    runs = [("1f1b", "3"), ("zb-h1", "3"), ("dualpipe", "3"), ("dualpipe", "11/5")]
    found = []
    for kind, overlapped in runs:
        ranks = ("--ranks", size[0], "--microbatches", size[1])
        data = call("simulate", kind, *ranks, "--cost", f"FB={overlapped}", "--format", "json").data
        found.append((data["makespan"], max(data["idle"])))
    assert found == TABLE[size]


def test_simulate_a_file_gives_the_same() -> None:
    built = call("simulate", "dualpipe", *P8, "--format", "json").data
    assert call("simulate", RELEASED, "--format", "json").data == built
    assert call("simulate", RELEASED).out == call("simulate", "dualpipe", *P8).out


def test_simulate_takes_a_network() -> None:
    arguments = ("simulate", "1f1b", "--ranks", 2, "--microbatches", 1, "--format", "json")
    assert call(*arguments).data["makespan"] == 6
    assert call(*arguments, "--latency", "1/4").data["makespan"] == 6.5
    assert call(*arguments, "--latency", "0.25", "--bandwidth", "2").data["makespan"] == 7.5
    per_stage = call(*arguments, "--cost", "F=1,10", "--cost", "B=100,1000").data
    assert per_stage["makespan"] == 1111
    assert call(*arguments, "--sends", "rendezvous").data["sends"] == "rendezvous"


def test_simulate_refuses_a_wrong_file(tmp_path: Path) -> None:
    data = json.loads(RELEASED.read_text())
    data["ops"][0].pop()
    del data["ops_with_commits"]
    path = written(tmp_path / "short.json", data)
    for command in ("verify", "simulate", "plot", "trace", "compare"):
        result = call(command, path)
        if "drawing needs matplotlib" in result.err:
            continue
        expected = "completeness: rank 0 never runs W of micro-batch 9 in slot 0"
        assert refused(result, status=1) == expected
    assert list(tmp_path.iterdir()) == [path]


def test_compare_is_about_the_same_work() -> None:
    """Two stages a rank: each op costs half, so makespans are half of what they are per stage."""
    names = ("1f1b", "zb-h1", "dualpipe", "interleaved", "zb-v", "dualpipev")
    for overlapped, v in ((3, 67), (2.2, 55)):
        rows = call("compare", *names, *P8, "--cost", f"FB={overlapped}", "--format", "json").data
        makespans = {row["kind"]: row["makespan"] for row in rows}
        assert list(makespans) == list(names)
        assert makespans["1f1b"] == 81
        assert makespans["dualpipe"] == (66 if overlapped == 3 else 54.8)
        assert makespans["interleaved"] == 141 / 2
        assert makespans["zb-v"] == 127 / 2
        assert makespans["dualpipev"] == v
        assert {row["kind"]: row["parameters"] for row in rows}["dualpipe"] == 2
        assert {row["peak_activations"] for row in rows if row["kind"] == "dualpipev"} == {8.5}


def test_compare_prints_a_table() -> None:
    result = call("compare", "1f1b", RELEASED, *P8)
    header, *rows = result.out.splitlines()
    assert header.split()[:4] == ["schedule", "P", "m", "makespan"]
    assert [row.split()[:4] for row in rows] == [
        ["1f1b", "8", "20", "81"],
        ["dualpipe", "8", "20", "66"],
    ]


def test_version_help_and_doctor() -> None:
    assert call("--version") == (0, f"dualpipe-ref {__version__}\n", "")
    assert call("--help").out.startswith("usage: dualpipe-ref ")
    for command in (
        "schedule",
        "verify",
        "simulate",
        "plot",
        "trace",
        "compare",
        "doctor",
        "bench",
    ):
        assert call(command, "--help").out.startswith(f"usage: dualpipe-ref {command} ")
    tiers = call("doctor", "--format", "json").data
    assert [tier["name"] for tier in tiers][:2] == ["browser", "core"]
    assert "[yes] core" in call("doctor").out


def test_sizes_beside_a_file_must_be_its_own() -> None:
    assert call("simulate", RELEASED, "--ranks", "8").status == 0
    answer = call("simulate", RELEASED, "--ranks", "4")
    assert answer.status == 2
    assert "a file brings its own sizes" in answer.err


def test_only_the_same_work_is_compared() -> None:
    assert call("compare", "1f1b", RELEASED, *P8).status == 0
    answer = call("compare", RELEASED, GOLDEN / "dualpipe_P4_m8.json")
    assert answer.status == 2
    assert "the same P and m" in answer.err


def test_chunks_are_for_interleaved_alone() -> None:
    sizes = ("--ranks", 4, "--microbatches", 8, "--chunks", 3)
    assert call("compare", "1f1b", "interleaved", *sizes).status == 0
    assert call("simulate", "1f1b", *sizes).status == 2


def test_a_broken_rule_is_drawn(tmp_path: Path) -> None:
    data = to_dict(build("1f1b", 4, 8))
    data.pop("ops_with_commits")
    data["ops"][0].insert(1, data["ops"][0].pop(4))
    broken, picture = tmp_path / "broken.json", tmp_path / "broken.svg"
    broken.write_text(json.dumps(data))
    answer = call("verify", broken, "--draw", picture)
    assert answer.status == 1
    assert "deadlock: rank 0 at B0.0" in answer.err
    assert picture.read_text().lstrip().startswith("<?xml")


def test_torch_csv() -> None:
    answer = call("schedule", "zb-h1", "--ranks", 2, "--microbatches", 2, "--format", "csv")
    assert answer == (0, "0F0,0F1,0I0,0W0,0I1,0W1\n1F0,1I0,1F1,1I1,1W0,1W1\n", "")
    assert call("schedule", "dualpipe", *P8, "--format", "csv").status == 2
