"""`dualpipe-ref plan`: reports, files in and out, and input that breaks a rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref.plan_text import ranking_text
from dualpipe_ref.simulate.cluster import Plan, evaluate
from dualpipe_ref.simulate.lanes import LaneCosts, published_order, run_pair

from ..test_cluster.test_profile import trace_of
from .command import call, refused


def test_the_step_and_its_ledger() -> None:
    data = call("plan", "--format", "json").data
    step = evaluate(Plan())
    assert data["step_s"] == step.seconds
    assert sum(data["ledger_s"].values()) == pytest.approx(step.seconds, rel=1e-9)
    assert [one["published"] for one in data["published"]] == [180_000]
    text = call("plan").out
    assert "published 180,000, predicted" in text
    assert "SM tax" in text


def test_options_change_the_plan() -> None:
    data = call("plan", "--sms", 8, "--device", "H200", "--format", "json").data
    assert "8 of 132 SMs reserved" in data["plan"]
    assert "H200" in data["plan"]
    assert data["published"] == []
    slower = call("plan", "--constant", "fp8_products=0.5", "--format", "json").data
    assert slower["step_s"] > call("plan", "--format", "json").data["step_s"]
    behind = call("plan", "--slow", "5=1.5", "--format", "json").data
    assert behind["ledger_s"]["other pipelines"] > 0


def test_each_number_has_a_formula() -> None:
    rows = call("plan", "--explain", "--format", "json").data
    assert {"micro-batches", "dispatch", "step", "memory", "GPU hours"} <= {
        row["name"] for row in rows
    }
    assert all(row["formula"] for row in rows)


def test_sms_are_ranked() -> None:
    rows = call("plan", "--rank", "sms", "--sequences", 4096, "--format", "json").data["rows"]
    assert len(rows) == 9
    assert [row["tokens_per_gpu_second"] for row in rows] == sorted(
        (row["tokens_per_gpu_second"] for row in rows), reverse=True
    )


def test_what_breaks_a_rule_stands_below_the_ranking() -> None:
    """120 micro-batches are no multiple of 16, which some schedules ask; GPipe holds all of them."""
    data = call("plan", "--rank", "schedules", "--format", "json").data
    refused = {row["name"]: row["why"] for row in data["rows"] if row["why"]}
    assert set(refused) == {"gpipe", "interleaved", "chimera", "interleaved-overlapped"}
    assert "85.5 GB of H800" in refused["gpipe"]
    assert "sequences = 14336" in refused["chimera"]
    assert data["sentence"].startswith("First is dualpipe with ")
    assert ranking_text(data).count("chimera: ") == 1


def test_transports_are_ranked() -> None:
    data = call("plan", "--rank", "transports", "--sequences", 4096, "--format", "json").data
    assert [row["name"] for row in data["rows"]][:3] == ["fused", "copy-engine", "in-network"]
    assert data["rows"][1]["step_s"] == data["rows"][2]["step_s"]


def test_constants_have_sources() -> None:
    out = call("plan", "--constants").out
    assert "DeepGEMM" in out
    assert "[M]" in out


def test_a_timeline_for_perfetto(tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    assert call("plan", "--sequences", 4096, "--out-trace", path).status == 0
    assert json.loads(path.read_text())["otherData"]["unit"] == "ns"


def test_a_profilers_trace_beside_deepseeks(tmp_path: Path) -> None:
    path, out = tmp_path / "train.json", tmp_path / "out.json"
    path.write_text(json.dumps(trace_of(run_pair(published_order(4), LaneCosts()))))
    rows = call("plan", "--trace", path, "--out-trace", out, "--format", "json").data
    found = {row["name"]: (row["this"], row["deepseek"]) for row in rows}
    assert found["blocks of communication"] == (20, 20)
    assert found["wall"] == (0.024, 129.0)
    assert json.loads(out.read_text())["traceEvents"]
    assert "DeepSeek's" in call("plan", "--trace", path).out


def test_without_a_network_a_fetch_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from urllib import request
    from urllib.error import URLError

    def nowhere(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(request, "urlopen", nowhere)
    message = refused(call("plan", "--fetch-trace", tmp_path / "train.json"))
    assert "over the network" in message
    assert "no route" in message
    assert not (tmp_path / "train.json").exists()


def test_with_a_network_the_file_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from io import BytesIO
    from urllib import request

    text = json.dumps(trace_of(run_pair(published_order(1), LaneCosts())))
    monkeypatch.setattr(request, "urlopen", lambda *_, **__: BytesIO(text.encode()))
    path = tmp_path / "train.json"
    assert call("plan", "--fetch-trace", path).status == 0
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["deepseek"], "runs are"),
        (["--gpus", 2000], "gpus = 2048"),
        (["--policy", "some"], "policy is one of"),
        (["--schedule", "dualpip"], "'dualpipe"),
        (["--device", "H900"], "'H800'"),
        (["--transport", "pigeon"], "a transport is one of"),
        (["--constant", "speed=3"], "constants are"),
        (["--constant", "bf16_products"], "a name and a number"),
        (["--slow", "x=2"], "--slow 7=1.2"),
        (["--sms", 132], "sms = 131"),
        (["--policy", "none"], "policy = up-projections"),
        (["--trace", "missing.json"], "can be read"),
        (["--device", "missing.json"], "can be read"),
    ],
)
def test_a_broken_rule_is_one_line(options: list[object], words: str) -> None:
    assert words in refused(call("plan", *options))
