"""Notify on the emulator: the counts that every rank learns, and what becomes of ranks that disagree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.checks import Facts, facts_of
from dualpipe_ref.comm.counts import Counts, counts_to_nodes, exchange_counts, starts
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.kernels import notify as notify_module
from dualpipe_ref.comm.kernels.machine import device, link
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.notify import NotifyArea
from dualpipe_ref.comm.layout import layout_of
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated, KernelError
from tests.test_transport.traffic import Traffic, drawn, traffics


def notified(
    traffic: Traffic, channels: int, transport: Emulated, facts: list[Facts] | None = None
) -> list[Counts]:
    area = NotifyArea(64, traffic.topology, channels, len(Facts._fields))
    heaps = transport.heaps(area.first + area.size)
    layouts = [
        layout_of(one.routing.experts, traffic.topology, traffic.experts)
        for one in traffic.outgoing
    ]
    sent = [counts_to_nodes(layout, channels) for layout in layouts]
    told = facts or [facts_of(one, traffic.experts) for one in traffic.outgoing]
    return exchange_counts(transport, heaps, area, sent, told, seconds=10.0)


def counted(traffic: Traffic, channels: int, source: int, wanted: Any) -> list[int]:
    """How many tokens of each channel of a rank have an expert on a rank that is `wanted`, one by one."""
    topology, counts = traffic.topology, [0] * channels
    tokens = traffic.outgoing[source].routing.experts.tolist()
    share = -(-len(tokens) // channels)
    for place, experts in enumerate(tokens):
        homes = {topology.home_of(one, traffic.experts) for one in experts if one >= 0}
        counts[place // share] += any(wanted(home) for home in homes)
    return counts


def check(traffic: Traffic, channels: int, got: list[Counts]) -> None:
    topology = traffic.topology
    gpus = topology.gpus_per_node
    for rank, one in enumerate(got):
        for source in range(topology.ranks):
            right = counted(traffic, channels, source, lambda home, rank=rank: home == rank)
            assert one.from_rank[source].tolist() == right
        here, local = topology.node_of(rank), topology.local_of(rank)
        for node in range(topology.nodes):
            source = node * gpus + local
            on_rail = [
                counted(traffic, channels, source, lambda home, to=here * gpus + to: home == to)
                for to in range(gpus)
            ]
            for_node = counted(
                traffic, channels, source, lambda home, here=here: topology.node_of(home) == here
            )
            assert one.on_rail[node].T.tolist() == [*on_rail, for_node]
        assert one.received == int(one.from_rank.sum())
        assert one.forwarded == int(one.on_rail[:, :, gpus].sum())


@settings(max_examples=40)
@given(st.data())
def test_every_rank_learns_what_comes_to_it_and_over_its_rail(data: st.DataObject) -> None:
    traffic, channels = data.draw(traffics()), data.draw(st.integers(1, 6))
    transport = Emulated(
        traffic.topology,
        data.draw(st.integers(0, 2**31)),
        lanes=data.draw(st.sampled_from([4, 8])),
        weak=data.draw(st.booleans()),
        link=data.draw(st.sampled_from(["rdma", "copying"])),
    )
    check(traffic, channels, notified(traffic, channels, transport))


@given(traffics(), st.integers(1, 6))
def test_channels_begin_where_earlier_ones_end(traffic: Traffic, channels: int) -> None:
    layout = layout_of(traffic.outgoing[0].routing.experts, traffic.topology, traffic.experts)
    counts = counts_to_nodes(layout, channels)
    begin = starts(counts)
    assert torch.equal(begin[:, 0], torch.zeros_like(begin[:, 0]))
    assert torch.equal(begin[:, 1:], (begin + counts)[:, :-1])
    assert torch.equal(counts.sum(dim=1)[:, -1], layout.tokens_per_node)
    assert torch.equal(counts.sum(dim=1)[:, :-1].flatten(), layout.tokens_per_rank)


def test_ranks_that_disagree_all_say_the_same() -> None:
    """As ranks of other processes would: nobody looked at them before."""
    traffic = drawn(2, 2, 5, seed=1)
    facts = [facts_of(one, traffic.experts) for one in traffic.outgoing]
    facts[3] = facts[3]._replace(hidden=32)
    with pytest.raises(InputError, match="one hidden size; got 24 on rank 0, 1, 2; 32 on rank 3"):
        notified(traffic, 2, Emulated(traffic.topology), facts)


def test_a_rank_that_does_not_come_is_named() -> None:
    traffic = drawn(2, 2, 5, seed=1)
    with pytest.raises(CommTimeout) as caught:
        notified(traffic, 2, Emulated(traffic.topology, absent=[3]))
    error = caught.value
    assert (error.role, error.rank, error.peer, error.seconds) == ("forwarder of counts", 1, 3, 10)
    assert error.channel is None


@device
def signal_before_record(plan, rank, node):
    words, here = plan.words, rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target = words.rail_at + here * words.record_bytes
    if lane() == 0:
        link.add(plan, rank, peer, 0, words.rail_ready_at + 8 * here, 1)
    link.put(
        plan, rank, peer, 0, target, words.out_at + node * words.record_bytes, words.record_bytes
    )


@device
def not_passed_on(plan, rank, node):
    return True


@device
def does_not_wait(plan, address, least, own, who):
    return True


# That a receiver waits shows only where ranks end one by one: here a launch ends when all have.
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("send_record", signal_before_record),
        ("pass_on", not_passed_on),
        ("wait", does_not_wait),
    ],
)
def test_a_planted_fault_is_caught(name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(getattr(notify_module, name))
    monkeypatch.setattr(notify_module, name, fault)
    assert runs_caught(12), f"{fault.__name__} passed all schedules"


def runs_caught(runs: int) -> int:
    """The first of so many schedules that shows that something is wrong; 0 if none does."""
    for seed in range(runs):
        traffic = drawn(2, 2, 9, seed)
        try:
            check(
                traffic,
                2,
                notified(traffic, 2, Emulated(traffic.topology, seed, weak=seed % 2 == 0)),
            )
        except (AssertionError, InputError, Deadlock, KernelError, CommTimeout):
            return seed + 1
    return 0


def test_without_a_fault_none_of_these_schedules_shows_one() -> None:
    assert runs_caught(12) == 0
