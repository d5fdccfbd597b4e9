"""Where sends and receives stand in a schedule, so that every channel's order matches and nothing deadlocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dualpipe_ref.schedule.collection import collection_paused
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Op, OpKind, Schedule
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.schedule.numbering import FlatBatch, FlatOp, Numbering

# A step with more of them would not fit in the memory of a usual machine.
MOST_CHUNKS = 20_000_000


def assemble(
    kind: str,
    ranks: int,
    microbatches: int,
    rank_ops: Callable[[int], Sequence[Op]],
    chunks: int | None = None,
) -> Schedule:
    """The schedule in which rank r runs `rank_ops(r)`, its messages placed by `place_messages`."""
    slots = slots_of(kind, chunks)
    if ranks * slots * microbatches > MOST_CHUNKS:
        # A multiple of 2P suits every kind, if its m fits at all.
        most = MOST_CHUNKS // (ranks * slots)
        raise InputError(
            f"P x stages a rank x m is at most {MOST_CHUNKS:,}",
            f"{ranks} x {slots} x {microbatches}",
            f"m = {most - most % (2 * ranks) or most or 1}",
        )
    placement = placement_of(kind, ranks, slots)
    numbering = Numbering(placement, microbatches // placement.directions)
    with collection_paused():
        ops = tuple(tuple(rank_ops(rank)) for rank in range(ranks))
        flat_ops = [numbering.flatten(rank, ops[rank]) for rank in range(ranks)]
        batches = tuple(map(tuple, place_messages(numbering, flat_ops)))
    schedule = Schedule(kind, placement, microbatches, ops, batches)
    vars(schedule).update(
        numbering=numbering, flat_ops=flat_ops
    )  # its cached properties, made already
    return schedule


# book: place-messages
TICKS = {OpKind.F: 1, OpKind.I: 1, OpKind.W: 1, OpKind.B: 2, OpKind.FB: 2}


def place_messages(
    numbering: Numbering, ops: list[list[FlatOp]]
) -> list[list[tuple[FlatBatch, ...]]]:
    """The batches before each op of each rank, and after the last: give every message one moment.

    A clock ticks; F, I and W take one tick, B and FB two. When an op ends, its messages join the open
    batches of both their ranks; a rank that starts an op first closes its batch. Both ends of a channel
    see the moments in the same order, so the k-th send meets the k-th receive; and the earliest event that
    has not happened never waits for a later one, so nothing deadlocks, even where a send blocks until its
    receive is there. The ticks only choose among safe orders: real durations may be anything.

    Where the ops themselves cannot run to their end, the rest gets no messages: `verify` says why.
    """
    n, ends = numbering.n, [(wire.source, wire.destination) for wire in numbering.wires]
    batches: list[list[tuple[FlatBatch, ...]]] = [[] for _ in ops]
    sends: list[list[int]] = [[] for _ in ops]
    receives: list[list[int]] = [[] for _ in ops]
    arrived = bytearray(2 * numbering.chunks)
    ending: tuple[list[int], list[int], list[int]] = (
        [],
        [],
        [],
    )  # ranks by ticks until their op ends
    idle = [rank for rank, rank_ops in enumerate(ops) if rank_ops]
    while idle or any(ending):
        waiting = []
        for rank in idle:
            kind, _, _, awaits, _ = ops[rank][len(batches[rank])]
            if not all(map(arrived.__getitem__, awaits)):
                waiting.append(rank)
                continue
            batches[rank].append(_closed(sends[rank], receives[rank]))
            sends[rank], receives[rank] = [], []
            ending[TICKS[kind]].append(rank)
        if not any(ending):
            break
        ending = (ending[1], ending[2], [])
        for rank in ending[0]:
            started = len(batches[rank])
            for message in ops[rank][started - 1][4]:
                source, destination = ends[message // n]
                sends[source].append(message)
                receives[destination].append(message)
                arrived[message] = True
            if started < len(ops[rank]):
                waiting.append(rank)
        ending = ([], ending[1], ending[2])
        idle = waiting
    for rank, rank_ops in enumerate(ops):
        batches[rank].append(_closed(sends[rank], receives[rank]))
        batches[rank] += [()] * (len(rank_ops) + 1 - len(batches[rank]))
    return batches


# book: end place-messages


def _closed(sends: list[int], receives: list[int]) -> tuple[FlatBatch, ...]:
    return ((tuple(sends), tuple(receives)),) if sends or receives else ()
