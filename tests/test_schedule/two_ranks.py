"""Schedules of two ranks written as text, for faults that a reader should see at a glance."""

from __future__ import annotations

from collections.abc import Iterator

from dualpipe_ref.schedule import Batch, Chunk, Message, Op, OpKind, Payload, Placement, Schedule
from dualpipe_ref.schedule.ir import Event, Wire

WIRES = {"a": Wire(Payload.ACTIVATION, 0, 0, 0, 1), "g": Wire(Payload.GRADIENT, 0, 1, 1, 0)}
# 1F1B of two ranks and two micro-batches: one word an event.
RIGHT = ("F0 a0 F1 a1+g0 B0 g1 B1", "a0 F0 B0 a1+g0 F1 B1 g1")


def two_ranks(first: str, second: str, microbatches: int = 2) -> Schedule:
    """F0, I0, W0 and B0 are ops of micro-batch 0; a0 and g0 its activation and its gradient.

    Messages joined by + are one batch.
    """
    programs = [list(_events(first)), list(_events(second))]
    return Schedule.from_programs("1f1b", Placement.linear(2), microbatches, programs)


def _events(text: str) -> Iterator[Event]:
    for word in text.split():
        if word[0] in WIRES:
            yield Batch(tuple(message(name) for name in word.split("+")))
        else:
            yield op(word)


def op(word: str) -> Op:
    kind, chunk = OpKind(word[0]), Chunk(0, int(word[1:]))
    return Op(kind, chunk) if kind is OpKind.F else Op(kind, None, chunk)


def message(name: str) -> Message:
    return Message(WIRES[name[0]], int(name[1:]))
