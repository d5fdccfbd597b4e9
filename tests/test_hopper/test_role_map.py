"""The map of roles is what the kernels do: every warp of every block is run, and says which role it took."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.direct import COMBINE_WARPS, DISPATCH_WARPS
from dualpipe_ref.comm.kernels import (
    direct_combine,
    direct_dispatch,
    direct_plan,
    queue_combine,
    queue_dispatch,
    queue_roles,
)
from dualpipe_ref.comm.queue_sizes import combine_warps, dispatch_warps, usual_sizes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper import role_map as of_roles
from dualpipe_ref.hopper.role_map import TASKS, BlockRoles, role_map
from dualpipe_ref.schedule.errors import InputError

KERNELS = {
    ("direct", "dispatch"): direct_dispatch.dispatch,
    ("direct", "combine"): direct_combine.combine,
    ("queues", "dispatch"): queue_dispatch.dispatch,
    ("queues", "combine"): queue_combine.combine,
}
# The functions of the kernels that are the roles.
FUNCTIONS = {
    ("direct", "dispatch"): {"send": "sender", "forward": "forwarder", "receive": "receiver"},
    ("direct", "combine"): {
        "give_back": "sender of combine",
        "add_in_node": "forwarder of combine",
        "add_at_home": "receiver of combine",
    },
    ("queues", "dispatch"): {
        "forwarder": "dispatch forwarder",
        "forwarder_coordinator": "dispatch forwarder coordinator",
        "sender": "dispatch sender",
        "sender_coordinator": "dispatch sender coordinator",
        "receiver": "dispatch receiver",
    },
    ("queues", "combine"): {
        "forwarder": "combine forwarder",
        "forwarder_coordinator": "combine forwarder coordinator",
        "nvl_sender": "combine sender",
        "receiver": "combine receiver",
        "receiver_coordinator": "combine receiver coordinator",
    },
}
TABLES = {"direct": direct_plan.ROLES, "queues": queue_roles.ROLES}


def taken(
    kernel: Callable[..., Any], plan: Any, block: int, warp: int, names: dict[str, str]
) -> str:
    """The role that one warp of one block takes when the kernel runs: its functions named `names` write it down."""
    found: list[str] = []

    def stub(name: str) -> Callable[..., Any]:
        if name in names:
            return lambda *_: found.append(names[name])
        values: dict[str, Any] = {
            "warp": warp,
            "block_of": block,
            "here_of": SimpleNamespace(channel=block // 2),
            "rank_of": 0,
        }
        return lambda *_: values.get(name, 0)

    assert isinstance(kernel, FunctionType)
    shared = SimpleNamespace(array=lambda *_: None)
    given = {
        "cuda": SimpleNamespace(shared=shared),
        "ptx": SimpleNamespace(shared_address=lambda _: 0),
    }
    names_of = dict(kernel.__globals__)
    for name in kernel.__code__.co_names:
        if name in given:
            names_of[name] = given[name]
        elif callable(names_of.get(name)):
            names_of[name] = stub(name)
    FunctionType(kernel.__code__, names_of)(plan)
    assert len(found) <= 1
    return found[0] if found else ""


def launched(version: str, kernel: str, topology: Topology, num_sms: int) -> tuple[Any, int]:
    """What of the plan decides roles, and the warps of a block, as the hosts launch them."""
    if version == "direct":
        warps = DISPATCH_WARPS if kernel == "dispatch" else COMBINE_WARPS
        return SimpleNamespace(warps=warps, blocks=num_sms), warps.total
    sizes = getattr(usual_sizes(topology, num_sms), kernel)
    count = dispatch_warps if kernel == "dispatch" else combine_warps
    plan = SimpleNamespace(
        nodes=topology.nodes,
        gpus=topology.gpus_per_node,
        senders=sizes.senders,
        receivers=sizes.receivers,
        large_warp=sizes.large_warp,
        blocks=num_sms,
        block_words=0,
    )
    return plan, count(sizes, topology)


def disagreements(
    version: str, topology: Topology, num_sms: int, shown: list[BlockRoles]
) -> list[str]:
    """Where a map says something else than the warps themselves."""
    found, covered = [], {"dispatch": 0, "combine": 0}
    for one in shown:
        kernel = KERNELS[version, one.kernel]
        names = FUNCTIONS[version, one.kernel]
        plan, warps = launched(version, one.kernel, topology, num_sms)
        numbers = {
            "even blocks": range(0, num_sms, 2),
            "odd blocks": range(1, num_sms, 2),
            "every block": range(num_sms),
        }[one.which]
        assert len(numbers) == one.blocks
        covered[one.kernel] += one.blocks
        said = [role.role for role in one.roles for _ in range(role.warps)]
        said += [""] * (warps - len(said))
        for block in (numbers[0], numbers[-1]):
            took = [taken(kernel, plan, block, warp, names) for warp in range(warps)]
            if took != said:
                found.append(f"{one.kernel}, block {block}: {took}, not {said}")
    assert set(covered.values()) == {num_sms}
    return found


TOPOLOGIES = st.builds(Topology, st.integers(1, 8), st.integers(1, 8))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["direct", "queues"]), TOPOLOGIES, st.integers(1, 12))
def test_every_warp_takes_the_role_that_the_map_says(
    version: str, topology: Topology, channels: int
) -> None:
    num_sms = 2 * channels
    shown = role_map(version, topology, num_sms)
    assert disagreements(version, topology, num_sms, shown) == []


@pytest.mark.parametrize("version", ["direct", "queues"])
def test_a_map_with_one_warp_too_many_is_seen(version: str) -> None:
    topology = Topology(8, 8)
    shown = role_map(version, topology)
    for at, block in enumerate(shown):
        first, *others = block.roles
        wrong = [*shown]
        wrong[at] = block._replace(roles=(first._replace(warps=first.warps + 1), *others))
        assert disagreements(version, topology, 20, wrong)


@pytest.mark.parametrize("version", ["direct", "queues"])
def test_whoever_waits_is_in_the_map_and_waits_for_what_its_table_says(version: str) -> None:
    roles = [role for block in role_map(version, Topology(8, 8)) for role in block.roles]
    assert {role.name for role in TABLES[version]} <= {role.role for role in roles}
    said = [(role.role, awaited) for role in roles for awaited in role.awaits]
    assert sorted(said) == sorted((role.name, role.awaits) for role in TABLES[version])
    silent = {role.role for role in roles if not role.awaits}
    assert silent == ({"sender", "sender of combine"} if version == "direct" else set())


def test_every_task_is_done_in_both_versions() -> None:
    for version in TABLES:
        blocks = role_map(version, Topology(8, 8))
        done = {task for block in blocks for role in block.roles for task in role.tasks}
        assert done == set(TASKS)
        reducing = {
            block.kernel
            for block in blocks
            for role in block.roles
            if of_roles.REDUCING in role.tasks
        }
        assert reducing == {"combine"}


def test_deepseeks_dispatch_has_512_threads_a_block() -> None:
    """As its trace shows (github.com/deepseek-ai/profile-data): 7 + 1 + 8 warps."""
    blocks = role_map("queues", Topology(8, 8))
    assert [32 * block.warps for block in blocks] == [288, 512, 544, 768]


def test_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="direct or queues"):
        role_map("naive", Topology(2, 2))
