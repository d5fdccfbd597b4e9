"""Bounds that a schedule promises: chunks held, weight gradients pending and their order, the published order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from dualpipe_ref.schedule.ir import Chunk, Op, OpKind, Schedule
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.schedule.violations import Place, Rule, Violation


def check_activations(schedule: Schedule, most: int) -> Iterator[Violation]:
    """The first op of each rank that makes it hold more than `most` chunks."""
    for rank, ops in enumerate(schedule.ops):
        for position, (during, _) in enumerate(occupancy(ops)):
            if during.activations > most:
                reason = f"holds {during.activations} chunks; the bound is {most}"
                place = Place(rank, position, ops[position])
                yield Violation(Rule.ACTIVATIONS, place, reason)
                break


def check_pending_weights(schedule: Schedule, most: int) -> Iterator[Violation]:
    """The first op of each rank that leaves more than `most` weight gradients pending."""
    for rank, ops in enumerate(schedule.ops):
        for position, (_, after) in enumerate(occupancy(ops)):
            if after.pending_weights > most:
                reason = (
                    f"{after.pending_weights} weight gradients are pending; the bound is {most}"
                )
                place = Place(rank, position, ops[position])
                yield Violation(Rule.WEIGHTS, place, reason)
                break


def check_weights_in_order(schedule: Schedule) -> Iterator[Violation]:
    """The first W of each rank that runs before one that has waited longer.

    The released DualPipe code keeps pending weight gradients in a first-in, first-out queue, so an
    order that breaks this rule needs another executor. It is no error in itself.
    """
    for rank, ops in enumerate(schedule.ops):
        queue: deque[Chunk | None] = deque()
        for position, op in enumerate(ops):
            if op.kind is OpKind.I:
                queue.append(op.backward)
            elif op.kind is OpKind.W and queue and queue.popleft() != op.backward:
                place = Place(rank, position, op)
                yield Violation(Rule.WEIGHTS, place, "runs before a W that has waited longer")
                break


def check_order(schedule: Schedule, published: Schedule) -> Iterator[Violation]:
    """The first op of each rank that differs from the published schedule's."""
    for rank, (ops, expected) in enumerate(zip(schedule.ops, published.ops, strict=True)):
        if ops != expected:
            position = _first_difference(ops, expected)
            op = ops[position] if position < len(ops) else None
            wanted = expected[position] if position < len(expected) else "no further op"
            reason = f"the published {published.kind} has {wanted} here"
            yield Violation(Rule.PUBLISHED, Place(rank, position, op), reason)


def _first_difference(left: tuple[Op, ...], right: tuple[Op, ...]) -> int:
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
