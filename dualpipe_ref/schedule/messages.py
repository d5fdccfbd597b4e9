"""Where sends and receives stand in a schedule, so that every channel's order matches and nothing deadlocks."""

from __future__ import annotations

from collections.abc import Sequence

from dualpipe_ref.schedule.flat import FlatOp, Numbering
from dualpipe_ref.schedule.ir import (
    Batch,
    Event,
    Message,
    Op,
    OpKind,
    Placement,
    Program,
    Schedule,
)
from dualpipe_ref.schedule.kinds import placement_of, slots_of


def assemble(
    kind: str, ranks: int, microbatches: int, ops: Sequence[Sequence[Op]], chunks: int | None = None
) -> Schedule:
    """The schedule of this kind with these computations, and its messages placed by `place_messages`."""
    placement = placement_of(kind, ranks, slots_of(kind, chunks))
    n = microbatches // placement.directions
    return Schedule(kind, placement, microbatches, place_messages(placement, n, ops))


# book: place-messages
TICKS = {OpKind.F: 1, OpKind.I: 1, OpKind.W: 1, OpKind.B: 2, OpKind.FB: 2}


def place_messages(placement: Placement, n: int, ops: Sequence[Sequence[Op]]) -> tuple[Program, ...]:
    """Give every message one moment in a single order of all events; each rank keeps its own part of it.

    A clock ticks; F, I and W take one tick, B and FB two. When an op ends, its messages join the open
    batches of both their ranks; a rank that starts an op first closes its batch. Both ends of a channel
    see the moments in the same order, so the k-th send meets the k-th receive; and the earliest event that
    has not happened never waits for a later one, so nothing deadlocks, even where a send blocks until its
    receive is there. The ticks only choose among safe orders: real durations may be anything.

    Where the ops themselves cannot run to their end, the rest is kept without messages: `verify` says why.
    """
    numbering = Numbering(placement, n)
    flat = [numbering.flatten(rank, rank_ops) for rank, rank_ops in enumerate(ops)]
    programs: list[list[Event]] = [[] for _ in ops]
    open_batches: list[list[Message]] = [[] for _ in ops]
    arrived = bytearray(2 * numbering.chunks)
    position = [0] * len(ops)
    idle = [rank for rank in range(len(ops)) if flat[rank]]
    ending: tuple[list[int], ...] = ([], [], [])  # ranks whose op ends at this tick, the next, the one after
    while idle or any(ending):
        waiting = []
        for rank in idle:
            place = position[rank]
            op = flat[rank][place]
            if not _has_its_messages(op, arrived):
                waiting.append(rank)
                continue
            if open_batches[rank]:
                programs[rank].append(Batch(tuple(open_batches[rank])))
                open_batches[rank] = []
            programs[rank].append(ops[rank][place])
            ending[TICKS[op.kind]].append(rank)
        if not any(ending):
            break
        ending = (ending[1], ending[2], [])
        for rank in ending[0]:
            for index in flat[rank][position[rank]].emits:
                message = numbering.message(index)
                open_batches[message.source].append(message)
                open_batches[message.destination].append(message)
                arrived[index] = True
            position[rank] += 1
            if position[rank] < len(flat[rank]):
                waiting.append(rank)
        ending[0].clear()
        idle = waiting
    return tuple(map(_close, programs, open_batches, ops, position))


def _close(
    program: list[Event], batch: list[Message], ops: Sequence[Op], position: int
) -> Program:
    """Add the last batch, and the ops that never could run."""
    last = [Batch(tuple(batch))] if batch else []
    return tuple([*program, *last, *ops[position:]])


# book: end place-messages


def _has_its_messages(op: FlatOp, arrived: bytearray) -> bool:
    for index in op.awaits:  # noqa: SIM110 - the hottest line of the placement; a generator costs 3x
        if not arrived[index]:
            return False
    return True
