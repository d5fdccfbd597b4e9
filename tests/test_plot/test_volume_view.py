"""The view of volumes says what the closed forms say, for every state that has an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot.live import answer, controls, nearest
from dualpipe_ref.plot.volume_view import DEFAULTS, case_of
from dualpipe_ref.simulate.volumes import ExpertGrid, Links, expected_spread


@st.composite
def states(draw: st.DrawFn) -> dict[str, Any]:
    nodes, gpus, each = (draw(st.integers(1, most)) for most in (6, 8, 4))
    limit = draw(st.integers(1, nodes))
    return {
        "nodes": nodes,
        "gpus_per_node": gpus,
        "experts": nodes * gpus * each,
        "node_limit": limit,
        "experts_per_token": draw(st.integers(1, min(12, limit * gpus * each))),
        "hidden": draw(st.integers(1, 9000)),
        "tokens": draw(st.integers(1, 9000)),
        "dispatch": draw(st.sampled_from(["1", "2", "4"])),
        "combine": draw(st.sampled_from(["1", "2", "4"])),
        "rdma": draw(st.sampled_from([50, "25", "7/2", 12.5])),
        "nvlink": draw(st.sampled_from([160, 450, "1/3"])),
    }


@given(states())
def test_bars_are_bytes_over_bandwidth(state: dict[str, Any]) -> None:
    case, data = case_of(state), answer("volume", state)
    spread = expected_spread(case.grid)
    rdma = spread.nodes * (1 - 1 / state["nodes"])
    nvlink = spread.gpus * (1 - 1 / state["gpus_per_node"])
    wanted = [
        state["tokens"] * case.messages[way] * float(count) / (float(speed) * 1e6)
        for way in ("dispatch", "combine")
        for count, speed in ((rdma, case.links.rdma), (nvlink, case.links.nvlink))
        if count
    ]
    shown = [sum(part["value"] for part in bar["parts"]) for bar in data["bars"]]
    assert shown == pytest.approx(wanted or [1])
    slower = (
        {"RDMA": wanted[0] > wanted[1], "NVLink": wanted[0] < wanted[1]} if len(wanted) == 4 else {}
    )
    for link, is_slower in slower.items():
        assert (f"{link} is the slower link" in data["sentence"]) == is_slower


def test_v3_is_where_it_starts() -> None:
    data = answer("volume", {})
    assert data["sentence"] == (
        "A token reaches 3.63 of 8 nodes and 7.36 GPUs. RDMA is the slower link: dispatch 1.94 ms, combine 3.74 ms."
    )
    assert [bar["label"] for bar in data["bars"]] == [
        "dispatch: 97.2 MB over RDMA",
        "dispatch: 197 MB over NVLink",
        "combine: 187 MB over RDMA",
        "combine: 379 MB over NVLink",
    ]
    facts = {fact["label"]: fact["value"] for fact in data["facts"]}
    assert facts["a message"] == "7,472 B and 14,384 B"
    assert case_of({}).grid == ExpertGrid()
    assert case_of({}).links == Links()


def test_one_node_and_one_gpu() -> None:
    inside = {"nodes": 1, "node_limit": 1}
    assert "NVLink is the slower link" in answer("volume", inside)["sentence"]
    assert len(answer("volume", inside)["bars"]) == 2
    alone = answer("volume", {**inside, "gpus_per_node": 1})
    assert "No link is used" in alone["sentence"]
    assert [part["text"] for bar in alone["bars"] for part in bar["parts"]] == ["0 ms"]


@pytest.mark.parametrize(
    ("state", "legal"),
    [
        ({"nodes": 2}, {"node_limit": 2}),
        ({"nodes": 6}, {"experts": 240}),
        ({"experts_per_token": 99}, {"experts_per_token": 64}),
        ({"rdma": 0}, {"rdma": 1}),
        ({"experts": 10**9}, {"experts": 4096}),
    ],
)
def test_what_is_offered(state: dict[str, Any], legal: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        answer("volume", state)
    assert nearest("volume", state) == {**state, **legal}


def test_there_is_a_control_for_every_part() -> None:
    assert [control["name"] for control in controls("volume", {})] == list(DEFAULTS)
