"""The smallest protocol: one sender, one ring, one receiver. The others are made of it."""

from __future__ import annotations

from collections.abc import Callable

from dualpipe_ref.comm.protocol.operations import (
    Location,
    Record,
    Steps,
    Store,
    at_least,
    read_message,
    values_at_least,
    write_message,
)
from dualpipe_ref.comm.protocol.world import Place, Records, Ring, World


def sender(messages: int, ring: Ring, head: Location, tail: Location) -> Steps:
    """Write each message when its slot is free, then publish it. Counter k may be written when k - head < size."""
    for counter in range(messages):
        yield at_least("ring.sender.credit", (head, counter - len(ring.slots) + 1))
        yield from write_message("ring.sender.slot", ring.slot(counter), counter, f"m{counter}")
        yield Store("ring.sender.tail", tail, counter + 1)


def receiver(messages: int, ring: Ring, head: Location, tail: Location, out: Location) -> Steps:
    """Read all that is published, then give the slots back."""
    taken = 0
    while taken < messages:
        _, (published,) = yield values_at_least("ring.receiver.tail", (tail, taken + 1))
        for counter in range(taken, published):
            payload = yield from read_message("ring.receiver.slot", ring.slot(counter), counter)
            yield Record("ring.receiver.record", out, payload)
        taken = published
        yield Store("ring.receiver.credit", head, taken)


def ring_world(messages: int, size: int, parts: int = 2) -> World:
    """Messages m0, m1, ... from one GPU to another of its node through `size` slots of `parts` parts.

    >>> from dualpipe_ref.comm.protocol import explore
    >>> explore(ring_world(messages=3, size=2)).is_right
    True
    """
    world = World()
    ring = world.ring("slot ", size, parts)
    head, tail = world.word("head", bounds_only=True), world.word("tail")
    out = world.record("received")
    world.role(
        "sender",
        Place(0, "sender"),
        lambda: sender(messages, ring, head, tail),
        reads=[head],
        writes=[ring, tail],
    )
    world.role(
        "receiver",
        Place(1, "receiver"),
        lambda: receiver(messages, ring, head, tail, out),
        reads=[ring, tail],
        writes=[head, out],
    )
    world.check = receives(messages, out)
    return world


def receives(messages: int, out: Location) -> Callable[[Records], str | None]:
    """A world's check: each of the messages m0, m1, ... was recorded once, in order."""
    expected = tuple(f"m{counter}" for counter in range(messages))

    def check(records: Records) -> str | None:
        got = records[out]
        return None if got == expected else f"received {got}, not {expected}"

    return check
