"""Which warps of which block do which of the four tasks of reserved SMs: of the kernels as they are launched.

How many warps a role has comes from what the host launches, what a role waits for from the versions' own tables of roles.
A test runs each kernel and asks every warp which role it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dualpipe_ref.comm.direct import COMBINE_WARPS, DISPATCH_WARPS
from dualpipe_ref.comm.errors import Role
from dualpipe_ref.comm.kernels import direct_plan, queue_roles
from dualpipe_ref.comm.kernels.direct_plan import Warps
from dualpipe_ref.comm.queue_sizes import QueueSizes, usual_sizes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

# DeepSeek-V3's report, section 3.5.1: what its SMs do for communication.
FORWARDING = (
    "forwarding between the RDMA and the NVLink domain while aggregating RDMA traffic for several"
    " GPUs of one node"
)
MOVING = "moving data between RDMA buffers and input/output buffers"
REDUCING = "the reduction of combine"
LAYING_OUT = (
    "laying out memory in fine grain while chunks travel to several experts in both domains"
)
TASKS = (FORWARDING, MOVING, REDUCING, LAYING_OUT)


class WarpRole(NamedTuple):
    """Warps of a block that do the same: the `role` by its name in the version's table, the kernel's `function` that they
    run, how many `warps`, their `tasks`, and what they wait for (`awaits`), in the order in which they do."""

    role: str
    function: str
    warps: int
    tasks: tuple[str, ...]
    awaits: tuple[str, ...]


class BlockRoles(NamedTuple):
    """All blocks of a kernel that are alike: `which` they are, of `blocks` a rank, and their warps in order."""

    kernel: str
    which: str
    blocks: int
    roles: tuple[WarpRole, ...]

    @property
    def warps(self) -> int:
        """Warps that have a role."""
        return sum(role.warps for role in self.roles)


def role_map(version: str, topology: Topology, num_sms: int = 20) -> list[BlockRoles]:
    """Dispatch, then combine, of "direct" or "queues" with `num_sms` blocks a rank, in the usual sizes.

    Raises `InputError` for another version.

    >>> for block in role_map("queues", Topology(8, 8)):
    ...     print(block.kernel, block.which, [(one.warps, one.function) for one in block.roles])
    dispatch even blocks [(8, 'forwarder'), (1, 'forwarder_coordinator')]
    dispatch odd blocks [(7, 'sender'), (1, 'sender_coordinator'), (8, 'receiver')]
    combine even blocks [(16, 'forwarder'), (1, 'forwarder_coordinator')]
    combine odd blocks [(8, 'nvl_sender'), (15, 'receiver'), (1, 'receiver_coordinator')]
    """
    if version == "direct":
        return _direct(num_sms)
    if version == "queues":
        return _queues(usual_sizes(topology, num_sms), topology, num_sms)
    raise InputError("a version is direct or queues", repr(version), "direct")


def _direct(num_sms: int) -> list[BlockRoles]:
    role = _of(direct_plan.ROLES)

    def block(kernel: str, warps: Warps, *roles: tuple[str, str, tuple[str, ...]]) -> BlockRoles:
        found = (
            role(name, function, count, tasks)
            for (name, function, tasks), count in zip(roles, warps, strict=True)
        )
        return BlockRoles(kernel, "every block", num_sms, tuple(found))

    return [
        block(
            "dispatch",
            DISPATCH_WARPS,
            ("sender", "send", (MOVING, LAYING_OUT)),
            ("forwarder", "forward", (FORWARDING,)),
            ("receiver", "receive", (MOVING,)),
        ),
        block(
            "combine",
            COMBINE_WARPS,
            ("sender of combine", "give_back", (MOVING, LAYING_OUT)),
            ("forwarder of combine", "add_in_node", (FORWARDING, REDUCING)),
            ("receiver of combine", "add_at_home", (MOVING, REDUCING)),
        ),
    ]


def _queues(sizes: QueueSizes, topology: Topology, num_sms: int) -> list[BlockRoles]:
    role, gpus, half = _of(queue_roles.ROLES), topology.gpus_per_node, num_sms // 2
    out, back = sizes
    return [
        BlockRoles(
            "dispatch",
            "even blocks",
            half,
            (
                role("dispatch forwarder", "forwarder", gpus, (FORWARDING,)),
                role("dispatch forwarder coordinator", "forwarder_coordinator", 1, (LAYING_OUT,)),
            ),
        ),
        BlockRoles(
            "dispatch",
            "odd blocks",
            half,
            (
                role("dispatch sender", "sender", out.senders, (MOVING,)),
                role("dispatch sender coordinator", "sender_coordinator", 1, (LAYING_OUT,)),
                role("dispatch receiver", "receiver", gpus, (MOVING,)),
            ),
        ),
        BlockRoles(
            "combine",
            "even blocks",
            half,
            (
                role(
                    "combine forwarder",
                    "forwarder",
                    topology.nodes * back.large_warp,
                    (FORWARDING, REDUCING),
                ),
                role("combine forwarder coordinator", "forwarder_coordinator", 1, (LAYING_OUT,)),
            ),
        ),
        BlockRoles(
            "combine",
            "odd blocks",
            half,
            (
                role("combine sender", "nvl_sender", gpus, (MOVING,)),
                role("combine receiver", "receiver", back.receivers, (MOVING, REDUCING)),
                role("combine receiver coordinator", "receiver_coordinator", 1, (LAYING_OUT,)),
            ),
        ),
    ]


def _of(table: Sequence[Role]) -> Callable[[str, str, int, tuple[str, ...]], WarpRole]:
    """Makes roles that wait for what the table says; one that is not in it never waits."""

    def made(name: str, function: str, warps: int, tasks: tuple[str, ...]) -> WarpRole:
        awaits = tuple(role.awaits for role in table if role.name == name)
        return WarpRole(name, function, warps, tasks, awaits)

    return made
