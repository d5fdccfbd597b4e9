"""Messages and channels: each output is sent once after it is made, received once before it is needed, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest

from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.numbering import Numbering
from dualpipe_ref.schedule.violations import Place, Rule, Violation

MADE, SENT = 1, 2

# Messages in order of their sends, or of their receives, for each (source, destination).
Channels = dict[tuple[int, int], list[int]]


def check_messages(schedule: Schedule) -> list[Violation]:
    """Every message that is missing, doubled, too early, too late or paired with the wrong one."""
    sends: Channels = defaultdict(list)
    receives: Channels = defaultdict(list)
    try:
        found = [
            violation
            for rank in range(schedule.ranks)
            for violation in _check_rank(schedule, rank, sends, receives)
        ]
    except IndexError:
        return list(_unknown_numbers(schedule))
    if any(min(numbers, default=0) < 0 for numbers in (*sends.values(), *receives.values())):
        return list(_unknown_numbers(schedule))
    return found + list(_check_channels(schedule.numbering, sends, receives))


def _unknown_numbers(schedule: Schedule) -> Iterator[Violation]:
    """Message numbers that the step has not: batches may have been written as numbers."""
    limit = 2 * schedule.numbering.chunks
    for rank, batches in enumerate(schedule.batches):
        for group in batches:
            for sends, receives in group:
                for number in sends + receives:
                    if not 0 <= number < limit:
                        reason = f"rank {rank} has message {number}; they go from 0 to {limit - 1}"
                        yield Violation(Rule.MESSAGES, None, reason)


def _check_rank(
    schedule: Schedule, rank: int, sends: Channels, receives: Channels
) -> Iterator[Violation]:
    """One rank's program: what it sends it has made; what an op needs has been received before it."""
    numbering, n, flat_ops = schedule.numbering, schedule.numbering.n, schedule.flat_ops[rank]
    channels = [(wire.source, wire.destination) for wire in numbering.wires]
    sends_of = [sends[channel] for channel in channels]
    receives_of = [receives[channel] for channel in channels]
    state = bytearray(2 * numbering.chunks)
    received = bytearray(2 * numbering.chunks)
    position = 0

    def violation(message: int, what: str) -> Violation:
        ops = schedule.ops[rank]
        place = Place(rank, position, ops[position] if position < len(ops) else None)
        return Violation(Rule.MESSAGES, place, f"the {numbering.message(message)} {what}")

    for position, batches in enumerate(schedule.batches[rank]):
        for batch_sends, batch_receives in batches:
            for message in batch_sends:
                if state[message] != MADE:
                    twice = state[message] == SENT
                    yield violation(
                        message, "is sent twice" if twice else "is sent before it is made"
                    )
                state[message] = SENT
                sends_of[message // n].append(message)
            for message in batch_receives:
                if received[message]:
                    yield violation(message, "is received twice")
                received[message] = True
                receives_of[message // n].append(message)
        if position == len(flat_ops):
            break
        _, _, _, awaits, emits = flat_ops[position]
        for message in awaits:
            if not received[message]:
                late = _is_received(schedule, rank, message)
                yield violation(
                    message,
                    "is received too late, after the op that needs it"
                    if late
                    else "is never received",
                )
        for message in emits:
            state[message] = MADE
    for message in _all_of(MADE, state):
        yield violation(message, "is never sent")


def _all_of(value: int, state: bytearray) -> Iterator[int]:
    place = state.find(value)
    while place >= 0:
        yield place
        place = state.find(value, place + 1)


def _is_received(schedule: Schedule, rank: int, message: int) -> bool:
    return any(message in receives for batches in schedule.batches[rank] for _, receives in batches)


def _check_channels(
    numbering: Numbering, sends: Channels, receives: Channels
) -> Iterator[Violation]:
    """The k-th send of a channel must meet the receive of the same message."""
    for channel in sorted(sends.keys() | receives.keys()):
        if sends[channel] == receives[channel]:
            continue
        pairs = zip_longest(sends[channel], receives[channel])
        place, (sent, wanted) = next(
            (place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1]
        )
        source, destination = channel
        yield Violation(
            Rule.CHANNEL,
            None,
            f"channel {source} -> {destination}: send {place} is {_name(numbering, sent)},"
            f" but receive {place} expects {_name(numbering, wanted)}",
        )


def _name(numbering: Numbering, message: int | None) -> str:
    return "nothing" if message is None else f"the {numbering.message(message)}"
