"""The window in which senders that share a ring mark what is complete.

Warps finish out of order, a put needs all slots up to a count. Behind a lock, a mark for each slot from the first that is
not complete; whoever completes that one moves the count over the run of marks, and publishes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dualpipe_ref.comm.protocol.operations import (
    Add,
    Location,
    Read,
    Steps,
    Store,
    Take,
    Write,
    at_least,
)
from dualpipe_ref.comm.protocol.world import World


class Completion(NamedTuple):
    """The lock, (base, marks) behind it, and the count that is published."""

    lock: Location
    marks: Location
    staged: Location


# How a sender reports that a slot is written: the slot's counter, where, and how wide the window is.
Finish = Callable[[int, Completion, int], Steps]


def completion(world: World, name: str) -> Completion:
    return Completion(
        world.word(f"{name} window lock"),
        world.cell(f"{name} window marks", (0, 0)),
        world.word(f"{name} staged"),
    )


def finish_in_order(counter: int, window: Completion, width: int) -> Steps:
    """Mark a slot as complete; a slot beyond the window waits until it is inside."""
    while True:
        yield Take("dispatch.sender.window.lock", window.lock)
        base, marks = yield Read("dispatch.sender.window.marks", window.marks)
        if counter - base < width:
            break
        yield Store("dispatch.sender.window.unlock", window.lock, 0)
        yield at_least("dispatch.sender.window.room", (window.staged, counter - width + 1))
    marks |= 1 << (counter - base)
    complete = base
    while marks & 1:
        marks >>= 1
        complete += 1
    yield Write("dispatch.sender.window.marks", window.marks, (complete, marks))
    if complete > base:
        yield Store("dispatch.sender.staged", window.staged, complete)
    yield Store("dispatch.sender.window.unlock", window.lock, 0)


def finish_at_once(counter: int, window: Completion, width: int) -> Steps:
    """The mistake: count what is complete, whichever it is. For the tests."""
    yield Add("dispatch.sender.staged", window.staged, 1)
