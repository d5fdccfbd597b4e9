"""Every rule of the queues' sizes is checked before a launch, and what is called legal is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.kernels import queue_tables
from dualpipe_ref.comm.kernels.queue_plan import BLOCK_WORDS
from dualpipe_ref.comm.kernels.queue_tables import TOKENS_HERE, Row
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queue_memory import QueueMemory
from dualpipe_ref.comm.queue_sizes import (
    MOST_COMBINE_WARPS,
    MOST_DISPATCH_WARPS,
    QueueSizes,
    check_sizes,
    combine_block_words,
    combine_warps,
    dispatch_block_words,
    dispatch_warps,
    sizes_of,
    usual_sizes,
)
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from tests.test_transport.queue_cases import queues_of, sizes
from tests.test_transport.traffic import drawn

TWO = Topology(2, 2)


@given(st.integers(1, 16), st.integers(1, 8), st.integers(1, 12))
def test_the_usual_sizes_keep_all_rules(nodes: int, gpus: int, channels: int) -> None:
    topology = Topology(nodes, gpus)
    dispatch, combine = usual_sizes(topology, 2 * channels)
    check_sizes(QueueSizes(dispatch, combine), topology)
    assert dispatch_warps(dispatch, topology) <= MOST_DISPATCH_WARPS
    assert combine_warps(combine, topology) <= MOST_COMBINE_WARPS
    assert dispatch_block_words(dispatch, topology) <= BLOCK_WORDS
    assert combine_block_words(combine, topology) <= BLOCK_WORDS


BROKEN = [
    ({"senders": 20}, "senders = 13"),
    ({"large_warp": 20, "rdma_chunk": 20, "rdma_ring": 40, "sub_ring": 30}, None),
    ({"receivers": 40}, None),
    ({"window": 5000}, f"window = {BLOCK_WORDS // 2 - 1}"),
]


@pytest.mark.parametrize(("change", "nearest"), BROKEN)
def test_a_broken_rule_is_named_with_a_legal_value(
    change: dict[str, Any], nearest: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        sizes_of(Sizes(**change), TWO, None)
    name, value = re.fullmatch(r"(\w+) = (\d+)", str(caught.value.nearest)).groups()  # type: ignore[union-attr]
    assert nearest in (None, caught.value.nearest)
    assert name in change
    sizes_of(replace(Sizes(**change), **{name: int(value)}), TWO, None)
    with pytest.raises(InputError):
        sizes_of(replace(Sizes(**change), **{name: int(value) + 1}), TWO, None)


@pytest.mark.parametrize(
    ("given_sizes", "num_sms", "words"),
    [
        (None, 3, "nearest legal: num_sms = 4"),
        (None, 0, "nearest legal: num_sms = 2"),
        (Sizes(channels=2), 2, "nearest legal: channels = 1"),
        (QueueSizes(Sizes(channels=2), Sizes()), None, "the same channels"),
    ],
)
def test_blocks_and_channels_fit(given_sizes: Any, num_sms: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        sizes_of(given_sizes, TWO, num_sms)


def test_a_machine_that_is_too_small_is_refused_before_a_launch() -> None:
    with pytest.raises(InputError, match="num_sms = 4 where a rank may use 3"):
        Queues(
            Emulated(TWO, sms_per_rank=3),
            hidden=8,
            experts_per_token=1,
            sizes=Sizes(channels=2),
        )
    with pytest.raises(InputError, match="5 for 4 lanes"):
        Queues(Emulated(Topology(5, 1)), hidden=8, experts_per_token=1, sizes=Sizes())


def test_input_that_does_not_fit_is_refused_before_a_launch() -> None:
    traffic = drawn(2, 2, 5, seed=1)
    transport = Emulated(traffic.topology)
    queues = queues_of(traffic, transport, number_bytes=2)
    (_, handles) = zip(*queues.dispatch(traffic.outgoing, traffic.experts), strict=True)
    transport.launch = None  # type: ignore[method-assign, assignment]
    wide = [one._replace(tokens=one.tokens.float()) for one in traffic.outgoing]
    with pytest.raises(InputError, match="a message fits into a slot"):
        queues.dispatch(wide, traffic.experts)
    other = drawn(2, 2, 5, seed=2)
    with pytest.raises(InputError, match="a handle is used again for the routing"):
        queues.dispatch(other.outgoing, other.experts, handles)
    with pytest.raises(InputError, match="there is one output for each received token"):
        queues.combine([torch.zeros(99, 24)] * 4, handles)


@given(st.integers(1, 4), st.integers(1, 4), sizes(), sizes())
def test_nothing_in_a_heap_overlaps(nodes: int, gpus: int, one: Sizes, other: Sizes) -> None:
    both = QueueSizes(one, replace(other, channels=one.channels))
    memory = QueueMemory(Topology(nodes, gpus), both, slot=64)
    words = []
    for phase, sub_ring, rings in (
        (
            both.dispatch,
            both.dispatch.nvl_ring,
            memory._rings(both.dispatch, 1, 64, memory.words_at),
        ),
        (both.combine, both.combine.sub_ring, None),
    ):
        if rings is None:
            before = 8 * both.dispatch.channels * 2 * (nodes + gpus)
            rings = memory._rings(phase, nodes, 64, memory.words_at + before)
        over_rdma, over_nvlink = phase.channels * nodes, phase.channels * gpus * rings.sub_rings
        data = [
            (rings.staging, phase.channels * (nodes - 1) * phase.rdma_ring * 64),
            (rings.rdma_data, over_rdma * phase.rdma_ring * 64),
            (rings.nvl_data, over_nvlink * sub_ring * 64),
        ]
        assert apart(data, 0, memory.words_at)
        words += [(rings.rdma_tail, 8 * over_rdma), (rings.rdma_head, 8 * over_rdma)]
        words += [(rings.nvl_tail, 8 * over_nvlink), (rings.nvl_head, 8 * over_nvlink)]
    assert apart(words, memory.words_at, memory.size)


def apart(pieces: list[tuple[int, int]], first: int, end: int) -> bool:
    """Whether pieces (offset, size) lie one after another between two offsets."""
    at = first
    for offset, size in sorted(pieces):
        if offset < at:
            return False
        at = offset + size
    return at <= end


def test_pieces_that_overlap_are_seen() -> None:
    assert apart([(0, 8), (8, 8)], 0, 16)
    assert not apart([(0, 9), (8, 8)], 0, 16)
    assert not apart([(0, 8), (8, 8)], 0, 15)


def test_places_in_the_table_are_those_of_the_row() -> None:
    assert TOKENS_HERE == 0
    for place, name in enumerate(Row._fields):
        assert getattr(queue_tables, name.upper()) == place
