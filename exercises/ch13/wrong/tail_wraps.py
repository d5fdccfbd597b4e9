# rejected by wraps: tail is the place in the ring, not the count

from __future__ import annotations

from collections.abc import Generator
from typing import Any

Steps = Generator[tuple, Any, None]


def sender(messages: list[list[int]], size: int) -> Steps:
    for counter, message in enumerate(messages):
        yield ("wait", "head", counter - size + 1, "relaxed")
        for part, value in enumerate(message):
            yield ("write", counter % size, part, value)
        yield ("store", "tail", counter % size + 1, "release.sys")


def receiver(count: int, parts: int, size: int) -> Steps:
    taken = 0
    while taken < count:
        tail = yield ("see", "tail", taken + 1, "acquire.sys")
        while taken < tail:
            message = [0] * parts
            for part in range(parts):
                message[part] = yield ("read", taken % size, part)
            yield ("take", message)
            taken += 1
        yield ("store", "head", taken, "relaxed")


def chunk_sender(messages: list[list[int]], size: int, chunk: int) -> Steps:
    for first in range(0, len(messages), chunk):
        last = min(first + chunk, len(messages))
        yield ("wait", "head", last - size, "relaxed")
        for counter in range(first, last):
            for part, value in enumerate(messages[counter]):
                yield ("write", counter % size, part, value)
        yield ("store", "tail", last, "release.sys")


def chunk_receiver(count: int, parts: int, size: int, chunk: int) -> Steps:
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


def barrier(me: int, ranks: int, number: int) -> Steps:
    others = [other for other in range(ranks) if other != me]
    for other in others:
        yield ("store", f"{me} to {other}", number + 1, "release.sys")
    for other in others:
        yield ("wait", f"{other} to {me}", number + 1, "acquire.sys")
