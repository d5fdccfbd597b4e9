# rejected by fits: the ring as it is given, with all its faults

from __future__ import annotations

from collections.abc import Generator
from typing import Any

Steps = Generator[tuple, Any, None]


def sender(messages: list[list[int]], size: int) -> Steps:
    for counter, message in enumerate(messages):
        yield ("wait", "head", counter - size, "relaxed")
        yield ("store", "tail", counter + 1, "release.gpu")
        for part, value in enumerate(message):
            yield ("write", counter % size, part, value)


def receiver(count: int, parts: int, size: int) -> Steps:
    taken = 0
    while taken < count:
        tail = yield ("see", "tail", taken + 1, "relaxed")
        yield ("store", "head", tail, "relaxed")
        while taken < tail:
            message = [0] * parts
            for part in range(parts):
                message[part] = yield ("read", taken % size, part)
            yield ("take", message)
            taken += 1


def chunk_sender(messages: list[list[int]], size: int, chunk: int) -> Steps:
    yield from sender(messages, size)


def chunk_receiver(count: int, parts: int, size: int, chunk: int) -> Steps:
    yield from receiver(count, parts, size)


def barrier(me: int, ranks: int, number: int) -> Steps:
    for other in range(ranks):
        if other != me:
            yield ("store", f"{me} to {other}", 1, "release.sys")
            yield ("wait", f"{other} to {me}", 1, "acquire.sys")
