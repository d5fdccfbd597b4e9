"""The shortest schedule that goes wrong, step by step."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dualpipe_ref.comm.protocol.trace import Event
from dualpipe_ref.comm.protocol.world import World
from dualpipe_ref.plot.ring_data import Place, Slots, Word, ring_data
from dualpipe_ref.plot.text import WIDTH


@dataclass(frozen=True)
class RingCase:
    """The events of a schedule, whose memory they are about, and what they show."""

    title: str
    trace: tuple[Event, ...]
    places: tuple[Place, ...]

    def as_text(self) -> str:
        """Title and steps, one a line."""
        width = max((len(event.role) for event in self.trace), default=0)
        steps = [
            f"{number:3}  {event.role:{width}}  {event.what}"
            for number, event in enumerate(self.trace, 1)
        ]
        return "\n".join([textwrap.fill(self.title, WIDTH), *steps])

    def as_data(self) -> dict[str, Any]:
        """The same for the viewer of pages and notebooks."""
        return ring_data(self.title, self.trace, self.places, message_of)


def message_of(value: int) -> int:
    """Which message a part belongs to: 20 and 21 to message 1. Also tells the rounds of a barrier apart."""
    return value // 10 - 1 if value >= 10 else value


def places_of(world: World) -> tuple[Place, ...]:
    """Where everything lies: a ring's slots and tail with the receiver, its head with the sender; in a barrier each
    word with the rank that waits for it."""
    words = [one.name for one in world.locations if one.kind == "word"]
    parts = [one.name for one in world.locations if one.kind == "slot"]
    slots = [tuple(at) for at in _slots(parts)]
    if "head" in words:
        head = Word("head", "head", "stored by the receiver", len(slots))
        tail = Word("tail", "tail", "stored by the sender", len(slots))
        return (
            Place("the sender's memory", (), (head,)),
            Place("the receiver's memory", (Slots("ring", tuple(slots)),), (tail,)),
        )
    return tuple(
        Place(
            f"the memory of rank {rank}",
            (Slots(f"what rank {rank} wrote", (slot,)),),
            tuple(Word(name, name, "") for name in words if name.endswith(f" {rank}")),
        )
        for rank, slot in enumerate(slots)
    )


def _slots(parts: Sequence[str]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in parts:
        found.setdefault(name.rpartition(".")[0], []).append(name)
    return list(found.values())
