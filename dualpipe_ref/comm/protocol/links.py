"""The rings between two ranks, over RDMA and over NVLink, as both phases use them.

Data and `tail` lie where they are read, `head` lies where it is waited for: everybody polls memory of the own rank.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.protocol.operations import (
    Add,
    Fence,
    Location,
    Put,
    Queue,
    RemoteAdd,
    Steps,
)
from dualpipe_ref.comm.protocol.world import Ring, World, copies


class RdmaLink(NamedTuple):
    """From one rank to the one of the same place in another node, or to itself, which is a copy in its own memory.

    `staging` is where messages are written; `ring` where they arrive (the same for a rank and itself).
    """

    staging: Ring
    ring: Ring
    tail: Location
    head: Location
    data: Queue | None
    credit: Queue | None


class NvlLane(NamedTuple):
    """A ring from one GPU to another of its node (or to itself)."""

    ring: Ring
    tail: Location
    head: Location


def rdma_link(world: World, name: str, size: int, parts: int, is_own: bool) -> RdmaLink:
    """A ring of `size` slots over RDMA. Data and credits travel in queue pairs of their own."""
    ring = world.ring(f"{name} RDMA slot ", size, parts)
    return RdmaLink(
        ring if is_own else world.ring(f"{name} staging slot ", size, parts),
        ring,
        world.word(f"{name} RDMA tail"),
        world.word(f"{name} RDMA head", bounds_only=True),
        None if is_own else world.queue(f"{name} data queue"),
        None if is_own else world.queue(f"{name} credit queue"),
    )


def nvl_lane(world: World, name: str, size: int, parts: int) -> NvlLane:
    """A ring of `size` slots over NVLink."""
    return NvlLane(
        world.ring(f"{name} NVLink slot ", size, parts),
        world.word(f"{name} NVLink tail"),
        world.word(f"{name} NVLink head", bounds_only=True),
    )


def publish(role: str, link: RdmaLink, first: int, count: int) -> Steps:
    """Bring `count` staged messages to the other side in one put, then raise its tail.

    In the own memory they are there already; a fence makes them visible before the tail.
    """
    if link.data is None:
        yield Fence(f"{role}.own_fence")
        yield Add(f"{role}.own_tail", link.tail, count)
        return
    pieces = copies(link.staging.stretch(first, count), link.ring.stretch(first, count))
    yield Put(f"{role}.put", link.data, pieces)
    yield RemoteAdd(f"{role}.tail", link.data, link.tail, count)


def give_back(site: str, link: RdmaLink, count: int) -> Steps:
    """Tell the sender that `count` more slots are free."""
    if link.credit is None:
        yield Add(site, link.head, count)
    else:
        yield RemoteAdd(site, link.credit, link.head, count)


def raised(counts: tuple[int, ...], at: int, amount: int) -> tuple[int, ...]:
    """Counts with one of them raised; roles keep tuples, so that a local state is a value."""
    return (*counts[:at], counts[at] + amount, *counts[at + 1 :])
