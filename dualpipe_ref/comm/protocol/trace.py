"""What happened, for people: who did what at which site, and what it saw."""

from __future__ import annotations

from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol import operations as ops


class Event(NamedTuple):
    """One step of a schedule: who, at which site, what in words; and for pictures the place that it is about, the
    value there, of a message its counter (None where the slot is empty), and whether it was put there by this step."""

    role: str
    site: str
    what: str
    place: str = ""
    value: int | None = None
    changes: bool = False

    def __str__(self) -> str:
        return f"{self.role}: {self.what}" + (f"  [{self.site}]" if self.site else "")


class Logged(NamedTuple):
    """An event with who acted, and what it looked at and changed."""

    event: Event
    actor: int
    reads: frozenset[ops.Location]
    writes: frozenset[ops.Location]


def leading_to(entries: list[Logged], actors: set[int]) -> tuple[Event, ...]:
    """The events that can have led to where these actors are: their own, and those of whoever changed what they saw."""
    kept: list[Event] = []
    seen: set[ops.Location] = set()
    involved = set(actors)
    for entry in reversed(entries):
        if entry.actor in involved or entry.writes & seen:
            kept.append(entry.event)
            involved.add(entry.actor)
            seen |= entry.reads
    return tuple(reversed(kept))


def event_of(role: str, operation: ops.Operation, result: Any) -> Event:
    """What a role did, and what it was given.

    >>> tail = ops.Location(0, "word", "tail", 0)
    >>> event = event_of("sender", ops.Store("ring.sender.tail", tail, 3), None)
    >>> str(event), event.place, event.value
    ('sender: stores 3 in tail  [ring.sender.tail]', 'tail', 3)
    """
    place, value = _seen(operation, result)
    changes = isinstance(operation, ops.Write | ops.Store)
    return Event(role, operation.site, told(operation, result), place, value, changes)


def delivered(
    queue: ops.Queue, memory: Any, choice: Any
) -> tuple[Event, ops.Location | None, ops.Location]:
    """Let a queue pair do one thing that is posted: what happened, what it copied (None for a word), and to where."""
    posted = memory.pending[queue.number][choice[0]]
    what = memory.deliver(queue.number, choice)
    value = plain(memory.newest(posted.target))
    event = Event(queue.name, "", what, posted.target.name, value, True)
    return event, posted.source, posted.target


def plain(value: Any) -> int | None:
    """A message by its counter; a word as it is; None for an empty slot and for anything else."""
    if isinstance(value, ops.Message):
        return value.counter
    return value if isinstance(value, int) else None


def _seen(operation: ops.Operation, result: Any) -> tuple[str, int | None]:
    """The place that an operation is about and its value; of a wait the first word, with its bound if nobody looks."""
    if isinstance(operation, ops.Wait):
        label, values = result if operation.values else (result, None)
        conditions = next(way for one, way in operation.alternatives if one == label)
        if not conditions:  # nothing to wait for
            return "", None
        word, bound = conditions[0]
        return word.name, bound if values is None else values[0]
    if isinstance(operation, ops.Read):
        return operation.slot.name, plain(result)
    if isinstance(operation, ops.Write):
        return operation.slot.name, plain(operation.value)
    if isinstance(operation, ops.Store):
        return operation.word.name, operation.value
    return "", None


def told(operation: ops.Operation, result: Any) -> str:
    """One operation and its result in words.

    >>> tail = ops.Location(0, "word", "tail", 0)
    >>> told(ops.Store("ring.sender.tail", tail, 3), None)
    'stores 3 in tail'
    """
    return str(_TELLERS[type(operation)](operation, result))


def _waited(op: ops.Wait, result: Any) -> str:
    label, values = result if op.values else (result, None)
    conditions = next(conditions for one, conditions in op.alternatives if one == label)
    if values is None:
        return "sees " + _list(f"{word} at {bound} or more" for word, bound in conditions)
    pairs = zip(conditions, values, strict=True)
    return "sees " + _list(f"{word} = {_count(value)}" for (word, _), value in pairs)


def _count(value: int) -> str:
    return "endless" if value >= ops.ENDLESS else str(value)


def _list(parts: Any) -> str:
    parts = list(parts)
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


def _message(value: Any) -> str:
    if isinstance(value, ops.Message):
        return f"message {value.counter} {value.payload}"
    return "nothing" if value is None else str(value)


_TELLERS: dict[type, Any] = {
    ops.Wait: _waited,
    ops.Take: lambda op, result: f"takes {op.word}",
    ops.Store: lambda op, result: f"stores {_count(op.value)} in {op.word}",
    ops.Add: lambda op, result: f"adds {op.amount} to {op.word}",
    ops.Fence: lambda op, result: "fence",
    ops.Write: lambda op, result: f"writes {_message(op.value)} to {op.slot}",
    ops.Read: lambda op, result: f"reads {op.slot}: {_message(result)}",
    ops.Put: lambda op, result: (
        f"puts {op.copies[0][0]} to {op.copies[-1][1]} ({len(op.copies)} parts)"
    ),
    ops.PutWord: lambda op, result: f"posts {op.value} for {op.word}",
    ops.RemoteAdd: lambda op, result: f"posts +{op.amount} for {op.word}",
    ops.Record: lambda op, result: f"records {op.value}",
}
