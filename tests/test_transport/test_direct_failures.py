"""Direct slots where something goes wrong: ranks that do not come, signals that are lost, faults planted in the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dualpipe_ref import InputError
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.kernels import direct_combine, direct_dispatch, direct_plan
from dualpipe_ref.comm.kernels.adding import add_rows, add_weights
from dualpipe_ref.comm.kernels.direct_plan import (
    rail_slot,
    rail_tail,
    rail_word_of,
    rank_tail,
    stage_slot,
)
from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, element, link, ptx
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.packing import copy_words, heap_of, own, unpack
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated, KernelError
from tests.test_transport.test_direct import direct_of
from tests.test_transport.traffic import Traffic, combined, dispatched, drawn, made

SECONDS = 10.0


def round_trip(direct: Direct, traffic: Traffic) -> None:
    combined(direct, traffic, dispatched(direct, traffic), made(traffic, torch.bfloat16))


def test_a_rank_that_does_not_come_is_named_by_who_waits_for_its_counts() -> None:
    traffic = drawn(2, 1, 9, seed=1)
    direct = direct_of(traffic, Emulated(traffic.topology, absent=[1]), seconds=SECONDS)
    with pytest.raises(CommTimeout) as caught:
        dispatched(direct, traffic)
    assert str(caught.value) == (
        "forwarder of counts on rank 0 waited 10.0 s for counts of rank 1: count was 0, at least 1 expected"
    )


def late(traffic: Traffic, absent: int, **more: Any) -> tuple[Direct, Any, Emulated]:
    """A version whose rank `absent` comes to the first dispatch and to no later launch."""
    transport = Emulated(traffic.topology, when_stuck="time out")
    direct = direct_of(traffic, transport, seconds=SECONDS, **more)
    handles = dispatched(direct, traffic)
    transport.absent = frozenset([absent])
    return direct, handles, transport


def test_a_rank_that_does_not_come_to_dispatch_is_named_by_its_forwarder() -> None:
    traffic = drawn(2, 1, 9, seed=1, kind="even")
    direct, handles, _ = late(traffic, absent=1)
    with pytest.raises(CommTimeout) as caught:
        dispatched(direct, traffic, handles)
    error = caught.value
    assert (error.role, error.rank, error.peer, error.word) == ("forwarder", 0, 1, "tail")
    assert str(error) == (
        f"forwarder of channel {error.channel} on rank 0 waited 10.0 s for messages of rank 1: "
        f"tail was 0, at least {error.expected} expected; head 0"
    )


@pytest.mark.parametrize(
    ("shape", "role"), [((1, 2), "forwarder of combine"), ((2, 1), "receiver of combine")]
)
def test_a_rank_that_does_not_come_to_combine_is_named(shape: Any, role: str) -> None:
    traffic = drawn(*shape, 9, seed=1, kind="even")
    direct, handles, _ = late(traffic, absent=1)
    with pytest.raises(
        CommTimeout, match=rf"{role} of channel . on rank 0 .* of rank 1: tail was 0"
    ):
        combined(direct, traffic, handles, made(traffic, torch.bfloat16))


def test_after_a_timeout_the_version_works_again() -> None:
    traffic = drawn(2, 2, 9, seed=1)
    direct, handles, transport = late(traffic, absent=3)
    with pytest.raises(CommTimeout):
        dispatched(direct, traffic, handles)
    transport.absent = frozenset()
    round_trip(direct, traffic)


@device
def put_run_without_signal(plan, rank, channel, node, place, count):
    cuda.syncwarp()
    here = rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target, source = rail_slot(plan, here, place), stage_slot(plan, node, place)
    link.put(plan, rank, peer, channel, target, source, count * plan.message.size)
    if lane() == 0 and not (rank == 1 and node == 0):
        link.add(plan, rank, peer, channel, rail_tail(plan, here, channel), count)


def test_a_lost_signal_is_a_timeout_that_says_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = drawn(2, 1, 9, seed=1, kind="even")
    direct = direct_of(traffic, Emulated(traffic.topology, when_stuck="time out"), seconds=SECONDS)
    monkeypatch.setattr(direct_dispatch, "put_run", put_run_without_signal)
    with pytest.raises(
        CommTimeout, match=r"forwarder of channel . on rank 0 .* messages of rank 1"
    ):
        dispatched(direct, traffic)


# Faults, each a copy of a device function with one thing wrong.


@device
def signal_before_data(plan, rank, channel, node, place, count):
    cuda.syncwarp()
    here = rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target, source = rail_slot(plan, here, place), stage_slot(plan, node, place)
    if lane() == 0:
        link.add(plan, rank, peer, channel, rail_tail(plan, here, channel), count)
    link.put(plan, rank, peer, channel, target, source, count * plan.message.size)


@device
def put_before_staged(plan, rank, channel, node, place, count):
    here = rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target, source = rail_slot(plan, here, place), stage_slot(plan, node, place)
    link.put(plan, rank, peer, channel, target, source, count * plan.message.size)
    if lane() == 0:
        link.add(plan, rank, peer, channel, rail_tail(plan, here, channel), count)


@device
def rest_forgotten(plan, rank, channel, starts):
    pass


@device
def last_gpu_dropped(plan, rank, node, place, slot):
    there = -1
    if lane() < plan.gpus - 1:
        there = ptx.ld_i32(slot + plan.message.meta_at + 4 + 4 * lane())
    return there


@device
def places_not_kept(plan, rank, node, place, slot):
    there = -1
    if lane() < plan.gpus:
        there = ptx.ld_i32(slot + plan.message.meta_at + 4 + 4 * lane())
    return there


@device
def published_relaxed(plan, rank, node, channel, last):
    cuda.syncwarp()
    if lane() < plan.gpus and last >= 0:
        there = heap_of(plan, rank - rank % plan.gpus + lane())
        source = node * plan.gpus + rank % plan.gpus
        start = rail_word_of(own(plan, rank, direct_plan.RAIL_STARTS), node, channel, lane(), plan)
        ptx.st_relaxed_sys(there + rank_tail(plan, source, channel), last + 1 - start)


@device
def published_without_a_syncwarp(plan, rank, node, channel, last):
    if lane() < plan.gpus and last >= 0:
        there = heap_of(plan, rank - rank % plan.gpus + lane())
        source = node * plan.gpus + rank % plan.gpus
        start = rail_word_of(own(plan, rank, direct_plan.RAIL_STARTS), node, channel, lane(), plan)
        ptx.st_release_sys(there + rank_tail(plan, source, channel), last + 1 - start)


@device
def does_not_wait(plan, address, least, own, who):
    return True


@device
def waits_for_one_less(plan, address, least, own, who):
    while ptx.ld_acquire_sys(address) < least - 1:
        cuda.nanosleep(64)
    return True


@device
def not_waited_for_lanes(went_well):
    return went_well


@device
def added_in_another_order(plan, target, weights, row, count):
    reverse = cuda.shfl_sync(FULL, row, count - 1 - lane() if lane() < count else lane())
    add_rows(target, reverse, count, plan.message.row_bytes)
    words = reverse + plan.message.weights_at if reverse != 0 else 0
    add_weights(weights, words, count, plan.message.weights)


@device
def rounded_each_time(target, address, count, size):
    """Sums that are rounded after each row."""
    for base in range(0, size, 16 * cuda.warpsize):
        at = base + 16 * lane()
        total = element.zero()
        for place in range(count):
            row = cuda.shfl_sync(FULL, address, place)
            if row != 0 and at < size:
                total = element.add(total, ptx.ld_v4(row + at))
                total = element.add(element.zero(), element.rounded(total))
        if at < size:
            ptx.st_v4(target + at, element.rounded(total))


@device
def weights_of_all_experts(plan, source, outputs, row, origin, first_expert):
    unpack(plan, source, outputs, row, origin, first_expert)
    parts = plan.message
    cuda.syncwarp()
    copy_words(outputs.weights + 4 * row * parts.experts, source + parts.weights_at, parts.experts)


FAULTS: list[tuple[Any, str, Callable[..., Any]]] = [
    (direct_dispatch, "put_run", signal_before_data),
    (direct_combine, "put_run", signal_before_data),
    (direct_dispatch, "put_run", put_before_staged),
    (direct_combine, "put_run", put_before_staged),
    (direct_dispatch, "put_rest", rest_forgotten),
    (direct_dispatch, "place_there", last_gpu_dropped),
    (direct_dispatch, "place_there", places_not_kept),
    (direct_dispatch, "publish", published_relaxed),
    (direct_dispatch, "publish", published_without_a_syncwarp),
    (direct_dispatch, "wait", does_not_wait),
    (direct_combine, "wait", does_not_wait),
    (direct_dispatch, "wait", waits_for_one_less),
    (direct_combine, "wait", waits_for_one_less),
    (direct_dispatch, "all_lanes", not_waited_for_lanes),
    (direct_combine, "all_lanes", not_waited_for_lanes),
    (direct_combine, "add_message", added_in_another_order),
    (direct_combine, "add_rows", rounded_each_time),
    (direct_dispatch, "unpack", weights_of_all_experts),
]


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    FAULTS,
    ids=[f"{m.__name__[-8:]}-{f.__name__}" for m, _, f in FAULTS],
)
def test_a_planted_fault_is_caught(
    module: Any, name: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(getattr(module, name))
    monkeypatch.setattr(module, name, fault)
    caught = runs_caught(12)
    assert caught, f"{fault.__name__} passed all schedules"


def runs_caught(runs: int) -> int:
    """How many of so many schedules show that something is wrong; the first that does is enough."""
    for seed in range(runs):
        nodes, gpus = ((2, 2), (1, 3), (3, 1))[seed % 3]
        traffic = drawn(nodes, gpus, 9, seed=seed, kind="even", per_token=4)
        try:
            round_trip(
                direct_of(traffic, Emulated(traffic.topology, seed, weak=seed % 2 == 0)), traffic
            )
        except (AssertionError, Deadlock, KernelError, CommTimeout):
            return seed + 1
    return 0


def test_without_a_fault_none_of_these_schedules_shows_one() -> None:
    assert runs_caught(12) == 0


def test_words_that_are_not_zeroed_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail of the call before says that messages are there which are not."""
    traffic = drawn(2, 2, 9, seed=1, kind="even")
    transport = Emulated(traffic.topology)
    direct = direct_of(traffic, transport)
    round_trip(direct, traffic)
    monkeypatch.setattr(transport, "zero", lambda first, size: None)
    other = drawn(2, 2, 9, seed=2, kind="even")
    with pytest.raises((AssertionError, InputError, KernelError, Deadlock)):
        round_trip(direct, other)
