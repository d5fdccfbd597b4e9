"""The view of packets shows a run of the protocol: conserved, once over RDMA a node, and in bytes what volumes counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot.live import answer, controls, nearest
from dualpipe_ref.plot.packets_data import KINDS, crossings, use_over_time
from dualpipe_ref.plot.packets_view import DEFAULTS, GPUS, NODES, case_of, run_case
from dualpipe_ref.simulate.volumes import combine_bytes, dispatch_bytes

RDMA, NVLINK, OWN, SUM, ROW = range(len(KINDS))
Data = dict[str, Any]

states = st.fixed_dictionaries(
    {
        "way": st.sampled_from(["dispatch", "combine"]),
        "tokens": st.integers(1, 4),
        "experts_per_token": st.integers(1, 8),
        "node_limit": st.integers(1, 2),
        "ring": st.sampled_from([2, 4, 6, 16]),
        "channels": st.integers(1, 3),
        "seed": st.integers(0, 50),
    }
)


def faults(data: Data) -> list[str]:
    """What is wrong with the packets of a view, by what the tokens want."""
    found, crossed, rows = [], Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
    for _, kind, source, target, rank, token, _ in data["packets"]:
        ends = (source, target) if data["way"] == "dispatch" else (target, source)
        if kind == RDMA:
            crossed[rank, token, ends[1] // GPUS] += 1
            if source % GPUS != target % GPUS or source == target:
                found.append(f"RDMA leads from {source} to {target}")
            if ends[0] != rank:
                found.append(f"token {token} of {rank} crosses from {ends[0]}")
        elif kind == NVLINK and source // GPUS != target // GPUS:
            found.append(f"NVLink leads from {source} to {target}")
        elif kind == ROW:
            rows[rank, token, target] += 1
    for rank, mine in enumerate(data["wanted"]):
        for token, wanted in enumerate(mine):
            for node in range(NODES):
                due = int(any(one // GPUS == node for one in wanted) and node != rank // GPUS)
                if crossed[rank, token, node] != due:
                    found.append(f"token {token} of {rank} comes to node {node} not {due} times")
            due_rows = wanted if data["way"] == "dispatch" else [rank]
            if sorted(rows.elements()) and any(rows[rank, token, one] != 1 for one in due_rows):
                found.append(f"token {token} of {rank} has no row")
    if sum(rows.values()) != sum(data["awaited"]):
        found.append(f"{sum(rows.values())} rows, not {sum(data['awaited'])}")
    return found


@settings(max_examples=20, deadline=None)
@given(states)
def test_packets_conserve_tokens_and_cross_rdma_once_a_node(state: dict[str, Any]) -> None:
    data = answer("packets", state)
    assert faults(data) == []
    assert data["ticks"] >= max(packet[0] for packet in data["packets"])
    assert [packet[0] for packet in data["packets"]] == sorted(p[0] for p in data["packets"])


@settings(max_examples=20, deadline=None)
@given(states)
def test_link_use_sums_to_the_exact_bytes_of_volumes(state: dict[str, Any]) -> None:
    data, ran = answer("packets", state), run_case(case_of(state))
    use = use_over_time(ran.traffic[state["way"]], NODES * GPUS)
    each = state["experts_per_token"]
    size = {"dispatch": dispatch_bytes(7168, each, 1), "combine": combine_bytes(7168, each, 2)}
    assert data["message"] == size[state["way"]]
    for link, count in crossings(ran.routes).items():
        sent = sum(map(sum, use[link])) * data["message"]
        assert sent == count * size[state["way"]]
        shown = sum(packet[1] == KINDS.index(link) for packet in data["packets"])
        assert shown == count


@pytest.mark.parametrize("seed", range(3))
def test_bytes_of_each_sender_are_those_of_its_layout(seed: int) -> None:
    """`comm.layout` counts with tensors what a rank's tokens cost, over all hops that they make."""
    torch = pytest.importorskip("torch")
    from dualpipe_ref.comm.layout import layout_of

    data, ran = answer("packets", {"seed": seed}), run_case(case_of({"seed": seed}))
    for rank, mine in enumerate(ran.routes.tokens):
        layout = layout_of(torch.tensor(mine), ran.routes.topology, ran.routes.experts)
        ours = Counter(packet[1] for packet in data["packets"] if packet[4] == rank)
        paid = tuple(ours[kind] * data["message"] for kind in (RDMA, NVLINK))
        assert paid == layout.bytes_over(rank, data["message"])


@pytest.mark.parametrize("kind", [RDMA, NVLINK, ROW])
def test_planted_faults_are_seen(kind: int) -> None:
    """One packet lost, doubled, or on a link that leads elsewhere."""
    data = answer("packets", {})
    at = next(place for place, packet in enumerate(data["packets"]) if packet[1] == kind)
    whole = data["packets"]
    lost = {**data, "packets": [*whole[:at], *whole[at + 1 :]]}
    doubled = {**data, "packets": [*whole, whole[at]]}
    astray = [*whole[at]]
    astray[3] = (astray[3] + GPUS + 1) % (NODES * GPUS)
    elsewhere = {**data, "packets": [*whole[:at], astray, *whole[at + 1 :]]}
    assert faults(elsewhere)
    if kind != NVLINK:  # a copy too many over NVLink shows in the bytes
        assert faults(lost)
        assert faults(doubled)
    else:
        counted = crossings(run_case(case_of({})).routes)["NVLink"]
        for broken in (lost, doubled):
            assert sum(packet[1] == NVLINK for packet in broken["packets"]) != counted


def test_a_schedule_changes_when_and_not_where() -> None:
    """Ring sizes and channels give other ticks and the same crossings."""
    base = answer("packets", {})
    for change in ({"ring": 2}, {"ring": 16}, {"channels": 3}):
        other = answer("packets", change)
        assert other["ticks"] != base["ticks"]
        assert sorted(packet[1:6] for packet in other["packets"]) == sorted(
            packet[1:6] for packet in base["packets"]
        )


def test_the_sentence_and_the_facts() -> None:
    data = answer("packets", {"node_limit": 1})
    crossed = Counter(packet[1] for packet in data["packets"])
    assert f"{crossed[RDMA]} messages cross RDMA, {crossed[NVLINK]} NVLink" in data["sentence"]
    facts = {fact["label"]: fact["value"] for fact in data["facts"]}
    assert facts["fullest ring between nodes"].endswith("of 4 slots")
    assert [control["name"] for control in controls("packets", {})] == list(DEFAULTS)


@pytest.mark.parametrize(
    ("state", "legal"),
    [
        ({"ring": 5}, {"ring": 6}),
        ({"ring": 99}, {"ring": 16}),
        ({"tokens": 0}, {"tokens": 1}),
        ({"node_limit": 3}, {"node_limit": 2}),
    ],
)
def test_what_is_offered(state: dict[str, Any], legal: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        answer("packets", state)
    assert nearest("packets", state) == {**state, **legal}


def test_a_way_that_there_is_not() -> None:
    with pytest.raises(InputError, match="dispatch or combine"):
        answer("packets", {"way": "back"})


def test_a_page_holds_the_packets_and_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("IPython")
    from dualpipe_ref.plot import packets

    from .test_live import content_of

    monkeypatch.setenv("DUALPIPE_REF_PAGE", "1")
    shown = packets(way="combine", tokens=2)
    content = content_of(shown)
    assert content["result"] == answer("packets", {"way": "combine", "tokens": 2})
    assert content["state"] == {"way": "combine", "tokens": 2}
    assert shown.data.count("<svg") == 2
    assert "Combine of 32 tokens" in shown.data.split("dualpipe-fallback")[1]
