"""One side of a ring without the other: how far does it come before it waits?"""

from __future__ import annotations

from typing import Any

from .machine import Asked, Size


def fills_ring(ends: Asked, size: Size) -> str | None:
    """What is wrong with a sender whose receiver does nothing, in words."""
    published = _alone(ends.sender, {"head": 0, "tail": 0}, size)["tail"]
    fits = min(size.size, size.count)
    if published == fits:
        return None
    return f"while no slot is given back the sender publishes {published} messages, and {fits} fit"


def takes_at_once(ends: Asked, size: Size) -> str | None:
    """What is wrong with a receiver for whom one message is published, in words."""
    left = _alone(ends.receiver, {"head": 0, "tail": 1}, size)
    if left["taken"] != 1:
        return f"tail is 1, and the receiver takes {left['taken']} messages before it waits"
    if left["head"] != 1:
        return f"one message is taken, the receiver waits for the next, and head is {left['head']}"
    return None


def _alone(told: Any, words: dict[str, int], size: Size) -> dict[str, int]:
    """The words, and how many were taken, when this side comes to its end or has to wait."""
    found = {**words, "taken": 0}
    slots: dict[tuple[int, int], int] = {}
    for part, value in enumerate(size.messages[0]):
        slots[0, part] = value
    sent: tuple[Any, ...] = ()
    while (said := told.after(sent)) is not None:
        result = None
        match said:
            case ("wait" | "see" as kind, word, bound, _):
                if found[word] < bound:
                    break
                result = found[word] if kind == "see" else None
            case ("store", word, value, _):
                found[word] = value
            case ("write", slot, part, value):
                slots[slot, part] = value
            case ("read", slot, part):
                result = slots.get((slot, part))
            case ("take", _):
                found["taken"] += 1
        sent = (*sent, result)
    return found
