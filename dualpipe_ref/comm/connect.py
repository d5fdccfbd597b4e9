"""A `Buffer` for each process of a group: the version by its name, over what fits the machines."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, get_args

import torch.distributed
from torch.distributed import ProcessGroup

from dualpipe_ref.comm.agreement import Agreeing
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.checks import check_one
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.host import check_outgoing
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.together import Meeting
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.comm.transport.gpu import Lacking, require_gpu
from dualpipe_ref.comm.transport.ipc import Ipc
from dualpipe_ref.comm.transport.nvshmem import Nvshmem, require_nvshmem
from dualpipe_ref.comm.transport.processes import SECONDS, Processes
from dualpipe_ref.schedule.errors import InputError

VersionName = Literal["naive", "direct", "queues"]


def connected(
    group: ProcessGroup | None,
    topology: Topology,
    experts: int,
    *,
    version: VersionName = "queues",
    hidden: int,
    most_tokens: int,
    experts_per_token: int,
    num_sms: int = 20,
    background: bool = True,
    transport: Transport | None = None,
    **settings: Any,
) -> Buffer:
    """This process's `Buffer`. All processes of the `group` (None: of all) make theirs together, with the same arguments.

    "naive" goes over the group itself, and needs none of the sizes. "direct" and "queues" are kernels on `num_sms` SMs of
    each GPU, for tokens of `hidden` numbers with up to `experts_per_token` experts, up to `most_tokens` of a rank; `settings`
    are further ones of `Direct` and `Queues`. They reach peers over the `transport`, if none is given by CUDA IPC on one
    machine and by NVSHMEM between several. In the `background`, a thread communicates while the caller computes.

    Raises `InputError` on all processes if they differ in an argument, and where kernels cannot run on one of them. A process
    that does not come to a call within `seconds`, or has ended, is a `CommTimeout` for all others, with kernels.

    >>> connected(None, Topology(1, 1), 2, version="quick", hidden=8, most_tokens=1, experts_per_token=1)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a version is 'naive', 'direct' or 'queues'; got 'quick'; nearest legal: 'queues'
    """
    if version not in get_args(VersionName):
        raise InputError("a version is 'naive', 'direct' or 'queues'", f"{version!r}", "'queues'")
    sizes = {
        "hidden": hidden,
        "most_tokens": most_tokens,
        "experts_per_token": experts_per_token,
        "num_sms": num_sms,
    }
    own_transport = "none" if transport is None else type(transport).__name__
    arguments = {"version": version, "topology": topology, "experts": experts, **sizes, **settings}
    machines = _agreed(group, {**arguments, "transport": own_transport})
    if version == "naive":
        return Buffer(topology, experts, Collective(group, background=background))
    seconds = settings.get("seconds", SECONDS)
    if transport is None:
        _all_can(group, machines)
    own = _own_group(group)
    if transport is None:
        way: Callable[..., Transport] = Ipc if machines == 1 else Nvshmem
        transport = way(topology, group=own, seconds=seconds)
    made: Callable[..., Direct | Queues] = Direct if version == "direct" else Queues
    exchange = made(transport, **sizes, **settings)

    def check(outgoing: Sequence[Outgoing], experts: int) -> None:
        check_outgoing(outgoing, exchange.transport, experts, exchange.room)

    (rank,) = exchange.ranks
    meet = Processes(own, topology, seconds).meet
    meeting = Meeting(Agreeing(exchange, Collective(own), check, meet))
    return Buffer(topology, experts, meeting.of(rank, background=background))


def _agreed(group: ProcessGroup | None, arguments: dict[str, Any]) -> int:
    """On how many machines the processes are; `InputError` unless all came with the same arguments."""
    told = _gathered(group, (socket.gethostname(), arguments))
    for name in sorted({name for _, one in told for name in one}):
        values = [repr(one.get(name, "the usual")) for _, one in told]
        check_one(f"value of {name}", values, range(len(told)))
    return len({host for host, _ in told})


def _all_can(group: ProcessGroup | None, machines: int) -> None:
    """Raises `Lacking` on all processes if one lacks what the kernels need: else it would be waited for."""
    lacking: Lacking | None = None
    try:
        require_gpu()
        if machines > 1:
            require_nvshmem()
    except Lacking as error:
        lacking = error
    told = _gathered(group, str(lacking or ""))
    if lacking is not None:
        raise lacking
    said = [f"rank {rank}: {text}" for rank, text in enumerate(told) if text]
    if said:
        raise Lacking("kernels run on all ranks or on none", "; ".join(said))


def _gathered(group: ProcessGroup | None, value: Any) -> list[Any]:
    told: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(told, value, group=group)
    return told


def _own_group(group: ProcessGroup | None) -> ProcessGroup:
    """The same processes over gloo: what a transport says from its thread must not meet what the caller says from another.

    Before a call `Processes.meet` has a limit of its own; this one is for those that make a transport, and start a GPU.
    """
    members = torch.distributed.get_process_group_ranks(group)
    return torch.distributed.new_group(
        members,
        timeout=timedelta(seconds=SECONDS),
        backend="gloo",
        use_local_synchronization=True,
    )
