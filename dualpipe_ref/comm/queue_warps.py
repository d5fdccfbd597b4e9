"""Which warp of which block does what in the kernels of the queues. Standard library only.

The kernels decide the same by `if`, each warp for itself (`kernels/queue_dispatch.py`, `kernels/queue_combine.py`); a test asks
every warp of them. Two blocks work for each channel of a rank: the roles of a block share its memory.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels import queue_roles as numbers
from dualpipe_ref.schedule.errors import require_int


class Task(NamedTuple):
    """What a warp does: its role as errors name it, its channel, and whom it serves.

    `peer` is a GPU's place in the node, or in combine's forwarders a node; None for roles without one. `part` is the place
    among warps that share a task.
    """

    role: str
    channel: int
    peer: int | None = None
    part: int | None = None


def dispatch_task(block: int, warp: int, gpus: int, senders: int) -> Task | None:
    """The task of a warp in dispatch, None for one that has none. Sizes are those of `protocol.sizes.Sizes`.

    >>> dispatch_task(block=0, warp=1, gpus=2, senders=1)
    Task(role='dispatch forwarder', channel=0, peer=1, part=None)
    >>> dispatch_task(block=3, warp=3, gpus=2, senders=1)
    Task(role='dispatch receiver', channel=1, peer=0, part=None)
    """
    _check(block=block, warp=warp)
    channel = block // 2
    peer = (warp + channel) % gpus
    if block % 2 == 0:
        if warp < gpus:
            return _task(numbers.FORWARDER, channel, peer)
        return _task(numbers.FORWARDER_COORDINATOR, channel) if warp == gpus else None
    if warp < senders:
        return _task(numbers.SENDER, channel, part=warp)
    if warp == senders:
        return _task(numbers.SENDER_COORDINATOR, channel)
    return _task(numbers.RECEIVER, channel, peer) if warp <= senders + gpus else None


def combine_task(
    block: int, warp: int, nodes: int, gpus: int, large_warp: int, receivers: int
) -> Task | None:
    """The same in combine.

    >>> combine_task(block=2, warp=3, nodes=2, gpus=2, large_warp=2, receivers=3)
    Task(role='combine forwarder', channel=1, peer=0, part=1)
    >>> combine_task(block=3, warp=4, nodes=2, gpus=2, large_warp=2, receivers=3)
    Task(role='combine receiver', channel=1, peer=None, part=2)
    """
    _check(block=block, warp=warp)
    channel = block // 2
    if block % 2 == 0:
        if warp < nodes * large_warp:
            node = (warp // large_warp + channel) % nodes
            return _task(numbers.REDUCING_FORWARDER, channel, node, warp % large_warp)
        is_next = warp == nodes * large_warp
        return _task(numbers.REDUCING_COORDINATOR, channel) if is_next else None
    if warp < gpus:
        return _task(numbers.NVL_SENDER, channel, (warp + channel) % gpus)
    if warp < gpus + receivers:
        return _task(numbers.REDUCING_RECEIVER, channel, part=warp - gpus)
    return _task(numbers.RECEIVER_COORDINATOR, channel) if warp == gpus + receivers else None


def _task(role: int, channel: int, peer: int | None = None, part: int | None = None) -> Task:
    return Task(numbers.ROLES[role].name, channel, peer, part)


def _check(**places: int) -> None:
    for name, place in places.items():
        require_int(name, place, 0)
