"""Deadlock: do all ranks reach their end, when sends are buffered, and when they block until received?

Both checks take a schedule whose messages are complete and whose channels match.
"""

from __future__ import annotations

from collections.abc import Sequence

from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.numbering import FlatBatch
from dualpipe_ref.schedule.violations import Place, Rule, Violation


def check_dependencies(schedule: Schedule) -> list[Violation]:
    """A cycle among the ops themselves: each waits for an output that another rank makes later."""
    made = [[(), *(emits for _, _, _, _, emits in ops)] for ops in schedule.flat_ops]
    return _report(schedule, _stuck(schedule, made), "the ops wait for each other in a ring")


def check_eager(schedule: Schedule) -> list[Violation]:
    """A cycle among ops and sends, when no send blocks: an output may stand ready but be sent too late."""
    sent = [
        [tuple(message for sends, _ in group for message in sends) for group in batches]
        for batches in schedule.batches
    ]
    return _report(schedule, _stuck(schedule, sent), "ops and sends wait for each other in a ring")


def _stuck(
    schedule: Schedule, offers: Sequence[Sequence[tuple[int, ...]]]
) -> dict[int, tuple[int, int]]:
    """The ranks that cannot reach their end: the op where they stop, and a message that it lacks.

    `offers[rank][i]` are the messages that become available when the rank has run i ops.
    """
    ops = schedule.flat_ops
    offered: set[int] = set()
    waiting: dict[int, int] = {}
    position = [0] * schedule.ranks
    ready = list(range(schedule.ranks))
    while ready:
        rank = ready.pop()
        while True:
            for message in offers[rank][position[rank]]:
                offered.add(message)
                if message in waiting:
                    ready.append(waiting.pop(message))
            if position[rank] == len(ops[rank]):
                break
            awaits = ops[rank][position[rank]][3]
            lacking = next((message for message in awaits if message not in offered), None)
            if lacking is not None:
                waiting[lacking] = rank
                break
            position[rank] += 1
    return {rank: (position[rank], message) for message, rank in waiting.items()}


def check_rendezvous(schedule: Schedule) -> list[Violation]:
    """A cycle of batches: each rank waits for a message whose other end is not there yet.

    Only the batches matter, since an op's messages have been received before it. A rank leaves a batch
    when the other end of each of its messages has been reached.
    """
    batches = [[batch for group in rank for batch in group] for rank in schedule.batches]
    # The rank at the other end of a message is this sum less one's own.
    both_ends = [wire.source + wire.destination for wire in schedule.numbering.wires]
    n = schedule.numbering.n
    offered = bytearray(2 * schedule.numbering.chunks)
    position = [-1] * schedule.ranks
    unmet = [0] * schedule.ranks
    ready = list(range(schedule.ranks))
    while ready:
        rank = ready.pop()
        while unmet[rank] == 0 and position[rank] + 1 < len(batches[rank]):
            position[rank] += 1
            sends, receives = batches[rank][position[rank]]
            for message in sends + receives:
                if offered[message]:
                    other = both_ends[message // n] - rank
                    unmet[other] -= 1
                    if unmet[other] == 0:
                        ready.append(other)
                else:
                    offered[message] = True
                    unmet[rank] += 1
    blocked = {}
    for rank in range(schedule.ranks):
        if unmet[rank]:
            blocked[rank] = (
                _ops_before(schedule, rank, position[rank]),
                _first_unmet(rank, both_ends, n, batches, position),
            )
    return _report(schedule, blocked, "sends that block until received wait in a ring")


def _first_unmet(
    rank: int,
    both_ends: list[int],
    n: int,
    batches: list[list[FlatBatch]],
    position: list[int],
) -> int:
    """The first message of the rank's batch whose other end has not been reached."""

    def is_met(message: int) -> bool:
        other = both_ends[message // n] - rank
        reached = batches[other][: position[other] + 1]
        return any(message in sends or message in receives for sends, receives in reached)

    sends, receives = batches[rank][position[rank]]
    return next(message for message in sends + receives if not is_met(message))


def _ops_before(schedule: Schedule, rank: int, batch: int) -> int:
    """How many ops this rank runs before its batch of this number."""
    counts = [len(group) for group in schedule.batches[rank]]
    return next(place for place in range(len(counts)) if sum(counts[: place + 1]) > batch)


def _report(
    schedule: Schedule,
    blocked: dict[int, tuple[int, int]],
    reason: str,
) -> list[Violation]:
    """Follow who waits for whom until a rank comes again: that ring is the deadlock.

    `blocked[rank]` is the position of the op that it cannot reach, and the message that it lacks.
    """
    if not blocked:
        return []
    wires, n = schedule.numbering.wires, schedule.numbering.n
    chain: list[int] = []
    rank = min(blocked)
    while rank not in chain:
        chain.append(rank)
        wire = wires[blocked[rank][1] // n]
        rank = wire.destination if wire.source == rank else wire.source
    ring = chain[chain.index(rank) :]
    places = [_place(schedule, rank, blocked[rank][0]) for rank in ring]
    waits_for = f"the {schedule.numbering.message(blocked[ring[0]][1])}"
    return [Violation(Rule.DEADLOCK, places[0], reason, waits_for, tuple(places))]


def _place(schedule: Schedule, rank: int, position: int) -> Place:
    ops = schedule.ops[rank]
    return Place(rank, position, ops[position] if position < len(ops) else None)
