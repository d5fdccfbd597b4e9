"""Bytes of queues are those of the slots that the protocol's model makes; direct slots have room for the worst case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.comm.protocol import Dispatch, Routes, Sizes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.simulate.buffers import queue_bytes, slot_bytes
from dualpipe_ref.simulate.volumes import ExpertGrid


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([2, 4]),
    st.integers(2, 5),
)
def test_queues_are_the_slots_of_the_model(
    nodes: int, gpus: int, channels: int, rdma: int, nvl: int
) -> None:
    topology = Topology(nodes, gpus)
    sizes = Sizes(channels=channels, rdma_ring=rdma, rdma_chunk=1, nvl_ring=nvl, large_warp=1)
    dispatch = Dispatch(Routes(topology, topology.ranks, ((),) * topology.ranks), sizes)
    grid = ExpertGrid(nodes, gpus, topology.ranks, 1, 1)
    for rank in range(topology.ranks):
        # What lies in this rank's memory: rings that end here, staging of those that lead elsewhere.
        rings = [link.ring for (_, end, _), link in dispatch.links.items() if end == rank]
        rings += [
            link.staging for (start, end, _), link in dispatch.links.items() if start == rank != end
        ]
        lanes = [lane.ring for (_, end, _), lane in dispatch.lanes.items() if end == rank]
        found = tuple(100 * sum(len(ring.slots) for ring in of) for of in (rings, lanes))
        assert found == queue_bytes(grid, channels, rdma, nvl, 100)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_slots_have_room_where_all_want_one_gpu(nodes: int, gpus: int, tokens: int) -> None:
    grid = ExpertGrid(nodes, gpus, nodes * gpus, 1, 1)
    for popular in range(grid.gpus):
        # The GPU at the sender's place in the node of `popular` takes the message in, be it the sender itself.
        entries = [popular // gpus * gpus + rank % gpus for rank in range(grid.gpus)]
        rdma, nvlink = slot_bytes(grid, tokens, 1)
        assert nvlink == tokens * grid.gpus  # all tokens of all GPUs are for it
        # As many may come as may go: all of its own tokens, to every node.
        assert rdma == tokens * (entries.count(popular) + nodes)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4))
def test_slots_are_those_of_the_kernels(nodes: int, gpus: int, tokens: int, channels: int) -> None:
    pytest.importorskip("torch")
    from dualpipe_ref.comm.kernels.direct_plan import DirectHeap

    size = 32
    heap = DirectHeap(Topology(nodes, gpus), channels, tokens, size, 0)
    grid = ExpertGrid(nodes, gpus, nodes * gpus, 1, 1)
    words = heap.words()
    rails = words.rank_at - words.stage_at
    assert (rails, heap.size - words.rank_at) == slot_bytes(grid, tokens, size)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (8, 8)])
@pytest.mark.parametrize("slot", [7472, 14384])
def test_rings_are_those_of_the_kernels(shape: tuple[int, int], slot: int) -> None:
    pytest.importorskip("torch")
    from dualpipe_ref.comm.queue_memory import QueueMemory
    from dualpipe_ref.comm.queue_sizes import usual_sizes

    topology = Topology(*shape)
    sizes = usual_sizes(topology)
    most = max(sizes.dispatch.nvl_ring, topology.nodes * sizes.combine.sub_ring)
    grid = ExpertGrid(*shape, topology.ranks, 1, 1)
    rings = queue_bytes(grid, sizes.dispatch.channels, sizes.dispatch.rdma_ring, most, slot)
    assert QueueMemory(topology, sizes, slot).words_at == rings.total


def test_v3() -> None:
    """What DeepEP's own sizes come to: 10 channels, rings of 128 and 288 slots, messages of FP8."""
    queues = queue_bytes(ExpertGrid(), 10, 128, 288, 7472, stages_own=True)
    assert [round(one / 1e6) for one in queues] == [153, 172]
    assert slot_bytes(ExpertGrid(), 4096, 7472).total > 6 * queues.total


def test_queues_do_not_know_the_number_of_tokens() -> None:
    assert slot_bytes(ExpertGrid(), 8192, 1).total == 2 * slot_bytes(ExpertGrid(), 4096, 1).total


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="channels"):
        queue_bytes(ExpertGrid(), 0, 128, 288, 7472)
    with pytest.raises(InputError, match="tokens"):
        slot_bytes(ExpertGrid(), 0, 7472)
