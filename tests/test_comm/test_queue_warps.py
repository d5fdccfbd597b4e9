"""The table of who does what is what every warp of the kernels decides for itself."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.kernels import queue_combine, queue_dispatch
from dualpipe_ref.comm.kernels.machine import bind
from dualpipe_ref.comm.kernels.queue_roles import ROLES
from dualpipe_ref.comm.queue_sizes import combine_warps, dispatch_warps
from dualpipe_ref.comm.queue_warps import Task, combine_task, dispatch_task
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

LANES = 4
# Device functions that say who a warp is; these run as they are.
WHO = ("here_of", "rank_of", "block_of", "warp")
# The roles by the functions that are them: what the numbers behind plan, place and words mean.
DISPATCH = {
    "forwarder": ("dispatch forwarder", ("peer",)),
    "forwarder_coordinator": ("dispatch forwarder coordinator", ()),
    "sender": ("dispatch sender", ("part",)),
    "sender_coordinator": ("dispatch sender coordinator", ()),
    "receiver": ("dispatch receiver", ("peer",)),
}
COMBINE = {
    "forwarder": ("combine forwarder", ("peer", "part")),
    "forwarder_coordinator": ("combine forwarder coordinator", ()),
    "nvl_sender": ("combine sender", ("peer",)),
    "receiver": ("combine receiver", ("part",)),
    "receiver_coordinator": ("combine receiver coordinator", ()),
}


def taken(
    kernel: Callable[[Any], None], roles: dict[str, Any], plan: Any, block: int, warp: int
) -> Task | None:
    """The task that the kernel itself gives to a warp: its roles are replaced by ones that write down who they are."""
    found: list[Task] = []

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        if name in WHO:
            return function
        if name not in roles:
            return lambda *_: 0  # what prepares memory
        role, meaning = roles[name]

        def write_down(*given: Any) -> None:
            numbers = [one for one in given[1:] if type(one) is int and one < 10**6]
            assert len(numbers) == len(meaning)
            # The task's own fields; the channel is the block's.
            found.append(Task(role, block // 2, **dict(zip(meaning, numbers, strict=True))))

        return write_down

    thread = SimpleNamespace(x=warp * LANES)
    cuda = SimpleNamespace(
        threadIdx=thread,
        blockIdx=SimpleNamespace(x=block),
        warpsize=LANES,
        shared=SimpleNamespace(array=lambda *_: None),
    )
    ptx = SimpleNamespace(shared_address=lambda _: 10**6)
    bind(kernel, {"cuda": cuda, "ptx": ptx}, wrap)(plan)
    assert len(found) <= 1, f"warp {warp} of block {block} has the tasks {found}"
    return found[0] if found else None


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.data())
def test_every_warp_of_the_kernels_has_the_task_of_the_table(
    nodes: int, gpus: int, channels: int, senders: int, data: st.DataObject
) -> None:
    large_warp, receivers = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    plan = SimpleNamespace(
        first_rank=0,
        blocks=2 * channels,
        nodes=nodes,
        gpus=gpus,
        senders=senders,
        large_warp=large_warp,
        receivers=receivers,
        block_words=0,
    )
    topology = Topology(nodes, gpus)
    # Beyond the last warp of a launch, too: nobody there may take a task.
    for block in range(2 * channels):
        for warp in range(dispatch_warps(plan, topology) + 2):  # type: ignore[arg-type]
            said = dispatch_task(block, warp, gpus, senders)
            assert said == taken(queue_dispatch.dispatch, DISPATCH, plan, block, warp)
        for warp in range(combine_warps(plan, topology) + 2):  # type: ignore[arg-type]
            said = combine_task(block, warp, nodes, gpus, large_warp, receivers)
            assert said == taken(queue_combine.combine, COMBINE, plan, block, warp)


def test_the_roles_are_those_that_errors_name() -> None:
    assert {name for name, _ in (*DISPATCH.values(), *COMBINE.values())} == {
        role.name for role in ROLES
    }


def test_a_role_moved_by_one_warp_is_noticed() -> None:
    """The comparison above is one: a kernel whose sizes differ by one disagrees with the table."""
    plan = SimpleNamespace(first_rank=0, blocks=2, nodes=1, gpus=2, senders=3, block_words=0)
    said = [dispatch_task(1, warp, 2, senders=2) for warp in range(7)]
    assert said != [taken(queue_dispatch.dispatch, DISPATCH, plan, 1, warp) for warp in range(7)]


def test_there_is_no_warp_below_the_first() -> None:
    with pytest.raises(InputError, match="warp"):
        dispatch_task(0, -1, 2, 2)
    with pytest.raises(InputError, match="block"):
        combine_task(-1, 0, 2, 2, 1, 1)
