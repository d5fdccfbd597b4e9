"""Direct slots where something goes wrong: ranks that do not come, signals that are lost, faults planted in the kernels.

Which orders of memory the kernels keep is tested for both versions at once; see `orders`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dualpipe_ref import InputError
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.kernels import (
    adding,
    direct_combine,
    direct_dispatch,
    direct_plan,
    packing,
)
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated, KernelError
from tests.test_transport.planting import Fault
from tests.test_transport.test_direct import direct_of
from tests.test_transport.traffic import Traffic, combined, dispatched, drawn, made

SECONDS = 10.0
SCHEDULES = 12
DTYPES = (torch.float32, torch.bfloat16)


def round_trip(direct: Direct, traffic: Traffic, dtype: torch.dtype = torch.bfloat16) -> None:
    combined(direct, traffic, dispatched(direct, traffic), made(traffic, dtype))


def test_a_rank_that_does_not_come_is_named_by_who_waits_for_its_counts() -> None:
    traffic = drawn(2, 1, 9, seed=1)
    direct = direct_of(traffic, Emulated(traffic.topology, absent=[1]), seconds=SECONDS)
    with pytest.raises(CommTimeout) as caught:
        dispatched(direct, traffic)
    assert str(caught.value) == (
        "forwarder of counts on rank 0 waited 10.0 s for counts of rank 1: count was 0, at least 1 expected"
    )


def late(traffic: Traffic, absent: int) -> tuple[Direct, Any, Emulated]:
    """A version whose rank `absent` comes to the first dispatch and to no later launch."""
    transport = Emulated(traffic.topology, when_stuck="time out")
    direct = direct_of(traffic, transport, seconds=SECONDS)
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
    ("shape", "role", "seconds"),
    [((1, 2), "forwarder of combine", 10.0), ((2, 1), "receiver of combine", 20.0)],
)
def test_a_rank_that_does_not_come_to_combine_is_named(
    shape: Any, role: str, seconds: float
) -> None:
    """The receiver at home waits longer than the forwarder, whose fault it might be: and says so."""
    traffic = drawn(*shape, 9, seed=1, kind="even")
    direct, handles, _ = late(traffic, absent=1)
    words = rf"{role} of channel . on rank 0 waited {seconds} s .* of rank 1: tail was 0"
    with pytest.raises(CommTimeout, match=words):
        combined(direct, traffic, handles, made(traffic, torch.bfloat16))


def test_after_a_timeout_the_version_works_again() -> None:
    traffic = drawn(2, 2, 9, seed=1)
    direct, handles, transport = late(traffic, absent=3)
    with pytest.raises(CommTimeout):
        dispatched(direct, traffic, handles)
    transport.absent = frozenset()
    round_trip(direct, traffic)


LOST = [
    (
        Fault(
            "signals of rank 1 to node 0 lost",
            direct_plan.put_run,
            "if lane() == 0",
            "if lane() == 0 and not (rank == 1 and node == 0)",
        ),
        "forwarder of channel . on rank 0 .* messages of rank 1",
    ),
    (
        Fault(
            "signals of the forwarder on rank 1 lost",
            direct_dispatch.publish,
            "last >= 0",
            "last >= 0 and rank != 1",
        ),
        "receiver of channel . on rank 1 waited 20.0 s for forwarded messages of rank [01]",
    ),
]


@pytest.mark.parametrize(("fault", "words"), LOST, ids=[one.name for one, _ in LOST])
def test_a_lost_signal_is_a_timeout_that_says_whose(fault: Fault, words: str) -> None:
    traffic = drawn(2, 1, 9, seed=1, kind="even")
    direct = direct_of(traffic, Emulated(traffic.topology, when_stuck="time out"), seconds=SECONDS)
    with fault.planted(), pytest.raises(CommTimeout, match=words):
        dispatched(direct, traffic)


EARLY = "    if lane() == 0:\n        link.add(plan, rank, peer, channel, rail_tail(plan, here, channel), count)\n"
PUT = "    link.put("
FAULTS = [
    Fault("signal before data", direct_plan.put_run, PUT, EARLY + PUT),
    Fault("signal twice", direct_plan.put_run, "channel), count)", "channel), 2 * count)"),
    Fault("rest of a run forgotten", direct_dispatch.put_rest, "rest > 0", "rest > plan.run"),
    Fault("another rest of a run", direct_dispatch.put_rest, "end - rest", "end - count"),
    Fault("places on another node", direct_dispatch.stage, "node * plan.gpus + lane()", "lane()"),
    Fault(
        "no message for the last GPU",
        direct_dispatch.forward_run,
        "if at >= 0",
        "if at >= 0 and local < plan.gpus - 1",
    ),
    Fault("last GPU dropped", direct_dispatch.place_there, "lane() < plan.gpus", "lane() == 0"),
    Fault("forwards too soon", direct_dispatch.forward_run, "until, done", "until - 1, done"),
    Fault("receives too soon", direct_dispatch.receive_run, "until, done", "until - 1, done"),
    Fault("adds too soon", direct_combine.wait_for_row, "before + 1, before", "before, before"),
    Fault("adds too soon at home", direct_combine.add_token, "at - start + 1", "at - start"),
    Fault(
        "rows of a run backwards",
        direct_dispatch.receive_run,
        "first + place",
        "first + 2 * start + done + until - 1 - place",
    ),
    Fault("places of other channels", direct_dispatch.receive_run, "start + done", "done"),
    Fault("weights of all experts", packing.unpack, "expert, weight = -1, 0", "expert = -1"),
    Fault("experts by global numbers", packing.unpack, " - first_expert", ""),
    Fault(
        "source of another rank",
        packing.unpack,
        "outputs.source + 16 * row, origin",
        "outputs.source + 16 * row, row",
    ),
    Fault("places of other GPUs", direct_combine.place_of_row, "plan.gpus + lane()", "plan.gpus"),
    Fault("rows of other GPUs", direct_combine.add_run, "plan.gpus + lane(), at", "plan.gpus, at"),
    Fault("sums backwards", adding.add_rows, "address, place)", "address, count - 1 - place)"),
    Fault(
        "weights backwards", adding.add_weights, "address, place)", "address, count - 1 - place)"
    ),
    Fault(
        "a sum rounded each time",
        adding.add_rows,
        "a = element.add(a, first)",
        "a = element.add(element.zero(), element.rounded(element.add(a, first)))",
    ),
    Fault("a node forgotten", direct_combine.add_token, "row, plan.nodes", "row, plan.nodes - 1"),
    Fault("sums of another token", direct_combine.add_token, "SUMS) + token", "SUMS) + 0"),
]


def caught_by(schedules: int, first: int = 0) -> str | None:
    """The first of so many schedules that shows that something is wrong, and how; None if none does."""
    for seed in range(first, first + schedules):
        nodes, gpus = ((2, 2), (1, 3), (3, 1))[seed % 3]
        traffic = drawn(nodes, gpus, 9, seed, kind="even", per_token=4)
        transport = Emulated(traffic.topology, seed, weak=seed % 2 == 0)
        try:
            round_trip(direct_of(traffic, transport), traffic, DTYPES[seed // 2 % 2])
        except (AssertionError, InputError, Deadlock, KernelError, CommTimeout) as error:
            return f"seed {seed}: {type(error).__name__}"
        if transport.races.found:
            return f"seed {seed}: race"
    return None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
def test_a_planted_fault_is_caught(fault: Fault) -> None:
    with fault.planted():
        assert caught_by(SCHEDULES)


def test_without_a_fault_none_of_these_schedules_shows_one() -> None:
    assert caught_by(SCHEDULES) is None


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
