"""Which warps of which block do which of the four tasks of reserved SMs: of the kernels as they are launched.

How many warps a role has comes from what hosts launch and from `comm/queue_warps.py`, what a role waits for from the versions'
tables of roles. A test runs each kernel and asks every warp which role it took.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from dualpipe_ref.comm.direct import COMBINE_WARPS, DISPATCH_WARPS
from dualpipe_ref.comm.errors import Role
from dualpipe_ref.comm.kernels import direct_plan, queue_roles
from dualpipe_ref.comm.queue_sizes import combine_warps, dispatch_warps, sizes_of
from dualpipe_ref.comm.queue_warps import Task, combine_task, dispatch_task
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
    """Warps of a block that do the same: the `role` by its name in the version's table, how many `warps`, their `tasks`, and
    what they wait for (`awaits`), in the order in which they do."""

    role: str
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


# What each role does. Who prepares a message or a row in its slot moves; who keeps count of slots lays out.
_TASKS = {
    "sender": (MOVING, LAYING_OUT),
    "forwarder": (FORWARDING,),
    "receiver": (MOVING,),
    "sender of combine": (MOVING, LAYING_OUT),
    "forwarder of combine": (FORWARDING, REDUCING),
    "receiver of combine": (MOVING, REDUCING),
    "dispatch forwarder": (FORWARDING,),
    "dispatch forwarder coordinator": (LAYING_OUT,),
    "dispatch sender": (MOVING,),
    "dispatch sender coordinator": (LAYING_OUT,),
    "dispatch receiver": (MOVING,),
    "combine forwarder": (FORWARDING, REDUCING),
    "combine forwarder coordinator": (LAYING_OUT,),
    "combine sender": (MOVING,),
    "combine receiver": (MOVING, REDUCING),
    "combine receiver coordinator": (LAYING_OUT,),
}


def role_map(version: str, topology: Topology, num_sms: int = 20) -> list[BlockRoles]:
    """Dispatch, then combine, of "direct" or "queues" with `num_sms` blocks a rank, in the usual sizes.

    Raises `InputError` for another version.

    >>> for block in role_map("queues", Topology(8, 8)):
    ...     print(block.kernel, block.which, *(f"{one.warps} {one.role}" for one in block.roles), sep=", ")
    dispatch, even blocks, 8 dispatch forwarder, 1 dispatch forwarder coordinator
    dispatch, odd blocks, 7 dispatch sender, 1 dispatch sender coordinator, 8 dispatch receiver
    combine, even blocks, 16 combine forwarder, 1 combine forwarder coordinator
    combine, odd blocks, 8 combine sender, 15 combine receiver, 1 combine receiver coordinator
    """
    if version == "direct":
        return _direct(num_sms)
    if version == "queues":
        return _queues(topology, num_sms)
    raise InputError("a version is direct or queues", repr(version), "direct")


def _direct(num_sms: int) -> list[BlockRoles]:
    """Every block is alike: senders, forwarders, receivers."""
    found = []
    for kernel, warps, end in (
        ("dispatch", DISPATCH_WARPS, ""),
        ("combine", COMBINE_WARPS, " of combine"),
    ):
        names = [f"{name}{end}" for name in ("sender", "forwarder", "receiver")]
        roles = [_role(*one, direct_plan.ROLES) for one in zip(names, warps, strict=True)]
        found.append(BlockRoles(kernel, "every block", num_sms, tuple(roles)))
    return found


def _queues(topology: Topology, num_sms: int) -> list[BlockRoles]:
    """Blocks 0 and 1 stand for all even and all odd ones."""
    out, back = sizes_of(None, topology, num_sms)
    nodes, gpus = topology.nodes, topology.gpus_per_node
    found = []
    for number, which in enumerate(("even blocks", "odd blocks")):
        tasks = [
            dispatch_task(number, warp, gpus, out.senders)
            for warp in range(dispatch_warps(out, topology))
        ]
        found.append(BlockRoles("dispatch", which, num_sms // 2, _counted(tasks)))
    for number, which in enumerate(("even blocks", "odd blocks")):
        tasks = [
            combine_task(number, warp, nodes, gpus, back.large_warp, back.receivers)
            for warp in range(combine_warps(back, topology))
        ]
        found.append(BlockRoles("combine", which, num_sms // 2, _counted(tasks)))
    return found


def _counted(tasks: Sequence[Task | None]) -> tuple[WarpRole, ...]:
    names = [task.role for task in tasks if task is not None]
    return tuple(_role(name, len(list(some)), queue_roles.ROLES) for name, some in groupby(names))


def _role(name: str, warps: int, table: Sequence[Role]) -> WarpRole:
    """It waits for what the table says; a role that is not in it never waits."""
    awaits = tuple(role.awaits for role in table if role.name == name)
    return WarpRole(name, warps, _TASKS[name], awaits)
