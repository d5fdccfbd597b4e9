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
from dualpipe_ref.comm.transport.ipc import Ipc
from dualpipe_ref.comm.transport.nvshmem import Nvshmem
from dualpipe_ref.schedule.errors import InputError

SECONDS = 100
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

    Raises `InputError` on all processes if they differ in an argument, and where kernels cannot run.

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
    machines = _agreed(
        group, {"version": version, "topology": topology, "experts": experts, **sizes, **settings}
    )
    if version == "naive":
        return Buffer(topology, experts, Collective(group, background=background))
    own = _own_group(group)
    if transport is None:
        way: Callable[..., Transport] = Ipc if machines == 1 else Nvshmem
        transport = way(topology, group=own)
    made: Callable[..., Direct | Queues] = Direct if version == "direct" else Queues
    exchange = made(transport, **sizes, **settings)

    def check(outgoing: Sequence[Outgoing], experts: int) -> None:
        check_outgoing(outgoing, exchange.transport, experts, exchange.room)

    (rank,) = exchange.ranks
    meeting = Meeting(Agreeing(exchange, Collective(own), check))
    return Buffer(topology, experts, meeting.of(rank, background=background))


def _agreed(group: ProcessGroup | None, arguments: dict[str, Any]) -> int:
    """On how many machines the processes are; `InputError` unless all came with the same arguments."""
    ranks = torch.distributed.get_world_size(group)
    told: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(told, (socket.gethostname(), arguments), group=group)
    for name in sorted({name for _, one in told for name in one}):
        values = [repr(one.get(name, "the usual")) for _, one in told]
        check_one(f"value of {name}", values, range(ranks))
    return len({host for host, _ in told})


def _own_group(group: ProcessGroup | None) -> ProcessGroup:
    """The same processes over gloo: what a transport says from its thread must not meet what the caller says from another.

    A process that does not come ends the wait of the others after `SECONDS`.
    """
    members = torch.distributed.get_process_group_ranks(group)
    return torch.distributed.new_group(
        members,
        timeout=timedelta(seconds=SECONDS),
        backend="gloo",
        use_local_synchronization=True,
    )
