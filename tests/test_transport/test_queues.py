"""Queues on the emulator: every bit as the oracle has it, whatever the topology, the routing, the sizes and the schedule."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.exchange import Exchange
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.transport.emulated import Emulated
from tests.test_transport.queue_cases import SMALL, both_phases, queues_of, sizes, some_sizes
from tests.test_transport.traffic import (
    KINDS,
    Traffic,
    bits,
    combined,
    dispatched,
    drawn,
    made,
    traffics,
)


@st.composite
def transports(draw: st.DrawFn, traffic: Traffic, weak: bool = False) -> Emulated:
    return Emulated(
        traffic.topology,
        draw(st.integers(0, 2**31)),
        lanes=draw(st.sampled_from([4, 8])),
        weak=weak,
        link=draw(st.sampled_from(["rdma", "copying"])),
    )


@settings(max_examples=12)
@given(st.data())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_dispatch_and_combine_are_the_oracle_s_in_every_bit(
    dtype: torch.dtype, data: st.DataObject
) -> None:
    traffic = data.draw(traffics(dtype))
    transport = data.draw(transports(traffic))
    queues: Exchange = queues_of(traffic, transport, sizes=data.draw(sizes()))
    handles = dispatched(queues, traffic)
    combined(queues, traffic, handles, made(traffic, dtype), weights=data.draw(st.booleans()))


@pytest.mark.slow
@given(st.data())
def test_the_same_with_many_more_examples_on_weak_memory(data: st.DataObject) -> None:
    traffic = data.draw(traffics())
    transport = data.draw(transports(traffic, data.draw(st.booleans())))
    both_phases(queues_of(traffic, transport, sizes=data.draw(sizes())), traffic)
    assert not transport.weak or transport.races.found == {}


@pytest.mark.parametrize("seed", range(6))
def test_on_weak_memory_there_are_no_races(seed: int) -> None:
    shape = [(2, 2), (2, 1), (1, 3), (3, 2), (2, 3), (2, 2)][seed]
    traffic = drawn(*shape, 8, seed, hidden=8, kind=KINDS[seed % 2])
    transport = Emulated(traffic.topology, seed, weak=True)
    both_phases(queues_of(traffic, transport), traffic)
    assert transport.races.found == {}


@settings(max_examples=8)
@given(st.data())
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16])
def test_scales_travel_with_rows_of_any_type(dtype: torch.dtype, data: st.DataObject) -> None:
    traffic = data.draw(traffics(dtype, scales=True))
    queues = queues_of(
        traffic, data.draw(transports(traffic)), sizes=data.draw(sizes()), number_bytes=8
    )
    dispatched(queues, traffic)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_routings_of_every_kind_on_every_kind_of_topology(kind: str, shape: Any) -> None:
    for most in (0, 1, 12):
        traffic = drawn(*shape, most, seed=most, kind=kind)
        both_phases(queues_of(traffic, Emulated(traffic.topology, seed=most)), traffic)


def test_the_usual_sizes() -> None:
    """20 blocks a rank of 16 and 24 warps would be slow here: 2 are the same kernels."""
    traffic = drawn(2, 2, 30, seed=5)
    queues = Queues(Emulated(traffic.topology), hidden=24, experts_per_token=3, num_sms=2)
    assert (queues.sizes.dispatch.rdma_ring, queues.sizes.combine.sub_ring) == (128, 144)
    both_phases(queues, traffic)


def test_queues_are_used_again_for_other_tokens_types_and_numbers() -> None:
    """What an earlier call left in the rings and words is never taken for the next one's."""
    first = drawn(2, 2, 9, seed=1)
    queues = queues_of(first, Emulated(first.topology))
    before = dispatched(queues, first)
    for seed in range(4):
        dtype = (torch.float32, torch.bfloat16)[seed % 2]
        other = drawn(2, 2, 9, seed=10 + seed, dtype=dtype, experts_per_rank=1 + seed)
        handles = dispatched(queues, other)
        combined(queues, other, handles, made(other, dtype, seed))
        combined(queues, first, before, made(first, dtype, seed))


@pytest.mark.parametrize("seed", range(3))
def test_with_handles_notify_is_skipped_and_combine_is_as_before(seed: int) -> None:
    traffic, launched = drawn(2, 2, 9, seed), []
    transport = Emulated(traffic.topology, seed)
    launch = transport.launch
    transport.launch = lambda kernel, *rest, **more: (  # type: ignore[method-assign]
        launched.append(kernel.__name__),
        launch(kernel, *rest, **more),
    )
    queues = queues_of(traffic, transport)
    handles = dispatched(queues, traffic)
    heads = [one.nvl_heads.clone() for one in handles]
    gradients = [one._replace(tokens=-one.tokens) for one in traffic.outgoing]
    again = dispatched(queues, traffic._replace(outgoing=gradients), handles)
    assert launched == ["notify", "dispatch", "dispatch"]
    assert all(torch.equal(one, two.nvl_heads) for one, two in zip(heads, again, strict=True))
    combined(queues, traffic, again, made(traffic, torch.bfloat16))
    assert launched[3:] == ["pre_pass", "combine"]


def test_the_same_bits_under_20_schedules() -> None:
    traffic = drawn(2, 2, 9, seed=3, hidden=8)
    seen = [
        both_phases(queues_of(traffic, Emulated(traffic.topology, seed)), traffic)
        for seed in range(20)
    ]
    assert all(torch.equal(one, seen[0]) for one in seen)


def test_heads_are_the_counters_of_the_protocol() -> None:
    """What dispatch records for combine follows from the routing alone: places among the tokens of a channel."""
    traffic = drawn(2, 2, 14, seed=6)
    queues = queues_of(traffic, Emulated(traffic.topology), sizes=some_sizes(random.Random(4)))
    for handle in dispatched(queues, traffic):
        to_node = handle.layout.to_node
        share = max(1, -(-len(to_node) // queues.channels))
        wanted = torch.full_like(handle.rdma_heads, -1)
        for first in range(0, len(to_node), share):
            piece = to_node[first : first + share]
            places = (piece.cumsum(dim=0) - 1).masked_fill(~piece, -1)
            wanted[first : first + share] = places
        assert torch.equal(handle.rdma_heads, wanted)
        assert bool(((handle.nvl_heads >= 0).any(dim=1)).all())


@pytest.mark.slow
@pytest.mark.parametrize("weak", [False, True])
def test_sixteen_ranks(weak: bool) -> None:
    traffic = drawn(4, 4, 12, seed=8, hidden=8, kind="even")
    larger = Sizes(channels=2, sub_ring=6, nvl_ring=6, rdma_ring=6, receivers=3, senders=3)
    for given_sizes in (SMALL, larger):
        transport = Emulated(traffic.topology, seed=3, weak=weak)
        both_phases(queues_of(traffic, transport, sizes=given_sizes), traffic)


def test_bits_differ_when_a_bit_differs() -> None:
    """What the comparisons above stand on."""
    one = torch.tensor([0.0, 1.0])
    assert not torch.equal(bits(one), bits(torch.tensor([-0.0, 1.0])))
