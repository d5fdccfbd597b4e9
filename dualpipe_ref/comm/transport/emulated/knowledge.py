"""What weak memory keeps of a store, and whom a scope includes."""

from __future__ import annotations

from typing import Any

import numpy as np

# How far an agent (a thread, a queue pair) knows what each agent did: [agents] int32, never changed in place once it is shared.
Clock = np.ndarray[Any, Any]
# What is attached to a store: for each release its scope, its block (None: a network card) and its clock.
Heads = tuple[tuple[str, Any, Clock], ...]


class Message:
    """A store: the 8 bytes that it left, who made it when, and what is attached: (scope, block, clock) of each release."""

    __slots__ = ("epoch", "heads", "is_data", "mark", "number", "thread", "value")

    def __init__(
        self,
        value: bytes,
        thread: int,
        epoch: int,
        number: int,
        heads: Heads,
        mark: Any,
        is_data: bool,
    ) -> None:
        self.value, self.thread, self.epoch, self.number = value, thread, epoch, number
        # Whether it is a plain store or a piece of a put, and no flag.
        self.heads, self.mark, self.is_data = heads, mark, is_data


def joined(own: Heads, earlier: Heads) -> Heads:
    """What is attached to a store that continues an earlier one: releases of one scope and block become one."""
    together = list(own)
    for scope, block, clock in earlier:
        for at, (other, place, known) in enumerate(together):
            if other == scope and place is block:
                together[at] = (other, place, np.maximum(known, clock))
                break
        else:
            together.append((scope, block, clock))
    return tuple(together)


def includes(scope: str, block: Any, other: Any) -> bool:
    """Whether a scope around a thread of `block` includes the threads of another; None is a network card.

    >>> includes("sys", None, object()), includes("gpu", None, object())
    (True, False)
    """
    if scope == "sys":
        return True
    if block is None or other is None:
        return False
    return block is other if scope == "cta" else bool(block.rank == other.rank)
