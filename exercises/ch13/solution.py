"""A ring between two GPUs, one with chunks and lazy credits, and a barrier: generators that yield operations."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

Steps = Generator[tuple, Any, None]


def sender(messages: list[list[int]], size: int) -> Steps:
    """Hand over the messages, in order, through `size` slots; each is a list of parts."""
    # skeleton: begin
    for counter, message in enumerate(messages):
        # The slot is free when the message that was in it, `size` earlier, has been given back.
        yield ("wait", "head", counter - size + 1, "relaxed")
        for part, value in enumerate(message):
            yield ("write", counter % size, part, value)
        yield ("store", "tail", counter + 1, "release.sys")
    # skeleton: end


def receiver(count: int, parts: int, size: int) -> Steps:
    """Take `count` messages of `parts` parts out of the ring, and give their slots back."""
    # skeleton: begin
    taken = 0
    while taken < count:
        tail = yield ("see", "tail", taken + 1, "acquire.sys")
        while taken < tail:
            message = [0] * parts
            for part in range(parts):
                message[part] = yield ("read", taken % size, part)
            yield ("take", message)
            taken += 1
        # Only now: whoever sees this may write there.
        yield ("store", "head", taken, "relaxed")
    # skeleton: end


def chunk_sender(messages: list[list[int]], size: int, chunk: int) -> Steps:
    """The same, but tail moves by `chunk` messages at a time; by less only for the last."""
    # skeleton: begin
    for first in range(0, len(messages), chunk):
        last = min(first + chunk, len(messages))
        yield ("wait", "head", last - size, "relaxed")
        for counter in range(first, last):
            for part, value in enumerate(messages[counter]):
                yield ("write", counter % size, part, value)
        yield ("store", "tail", last, "release.sys")
    # skeleton: end


def chunk_receiver(count: int, parts: int, size: int, chunk: int) -> Steps:
    """The same, but head moves by at least `chunk` slots at a time; what is less is never given back."""
    # skeleton: begin
    taken = returned = 0
    while taken < count:
        tail = yield ("see", "tail", taken + 1, "acquire.sys")
        while taken < tail:
            message = [0] * parts
            for part in range(parts):
                message[part] = yield ("read", taken % size, part)
            yield ("take", message)
            taken += 1
        if taken - returned >= chunk:
            yield ("store", "head", taken, "relaxed")
            returned = taken
    # skeleton: end


def barrier(me: int, ranks: int, number: int) -> Steps:
    """Meet all other ranks: what any of them did before its barrier, all see after theirs.

    `number` counts the barriers that came before. "0 to 1" is a word that 0 stores and 1 waits for.
    """
    # skeleton: begin
    others = [other for other in range(ranks) if other != me]
    for other in others:
        yield ("store", f"{me} to {other}", number + 1, "release.sys")
    for other in others:
        yield ("wait", f"{other} to {me}", number + 1, "acquire.sys")
    # skeleton: end
