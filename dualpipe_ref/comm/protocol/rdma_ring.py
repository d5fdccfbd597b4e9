"""One ring over RDMA: the sender stages messages in its own memory and puts them a chunk at a time; credits are lazy."""

from __future__ import annotations

from dualpipe_ref.comm.protocol.links import RdmaLink, give_back, publish, rdma_link
from dualpipe_ref.comm.protocol.operations import (
    Location,
    Record,
    Steps,
    at_least,
    read_message,
    values_at_least,
    write_message,
)
from dualpipe_ref.comm.protocol.ring import receives
from dualpipe_ref.comm.protocol.world import Place, World


def rdma_sender(messages: int, chunk: int, link: RdmaLink) -> Steps:
    """Write a chunk to staging slots that are free on both sides, put it, then raise the tail in the same queue pair."""
    sent = 0
    while sent < messages:
        count = min(chunk, messages - sent)
        credit = (link.head, sent + count - len(link.ring.slots))
        yield at_least("rdma_ring.sender.credit", credit)
        for counter in range(sent, sent + count):
            slot = link.staging.slot(counter)
            yield from write_message("rdma_ring.sender.slot", slot, counter, f"m{counter}")
        yield from publish("rdma_ring.sender", link, sent, count)
        sent += count


def rdma_receiver(messages: int, chunk: int, link: RdmaLink, out: Location) -> Steps:
    """Read all that is published; give slots back when there is a chunk of them."""
    taken = returned = 0
    while taken < messages:
        _, (tail,) = yield values_at_least("rdma_ring.receiver.tail", (link.tail, taken + 1))
        for counter in range(taken, tail):
            slot = link.ring.slot(counter)
            payload = yield from read_message("rdma_ring.receiver.slot", slot, counter)
            yield Record("rdma_ring.receiver.record", out, payload)
        taken = tail
        if taken - returned >= chunk:
            yield from give_back("rdma_ring.receiver.credit", link, taken - returned)
            returned = taken


def rdma_ring_world(messages: int, size: int, chunk: int = 1, parts: int = 2) -> World:
    """Messages m0, m1, ... from a GPU of one node to one of another, `chunk` at a time through `size` slots.

    >>> from dualpipe_ref.comm.protocol import explore
    >>> explore(rdma_ring_world(messages=5, size=4, chunk=2)).is_right
    True
    """
    world = World()
    link = rdma_link(world, "ring", size, parts, is_own=False)
    out = world.record("received")
    world.role(
        "sender",
        Place(0, "sender"),
        lambda: rdma_sender(messages, chunk, link),
        reads=[link.head, link.staging],
        writes=[link.staging, link.ring, link.tail],
    )
    world.role(
        "receiver",
        Place(1, "receiver"),
        lambda: rdma_receiver(messages, chunk, link, out),
        reads=[link.ring, link.tail],
        writes=[link.head, out],
    )
    world.check = receives(messages, out)
    return world
