"""Where sends and receives stand in a schedule, so that every channel's order matches and nothing deadlocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dualpipe_ref.schedule.collection import collection_paused
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Op, OpKind, Schedule
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.schedule.numbering import FlatBatch, FlatOp, Numbering

# The batches between two ops: none or one here, more where a file splits them.
Group = tuple[FlatBatch, ...]

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


TICKS = {OpKind.F: 1, OpKind.I: 1, OpKind.W: 1, OpKind.B: 2, OpKind.FB: 2}


def place_messages(numbering: Numbering, ops: list[list[FlatOp]]) -> list[list[Group]]:
    """The batches before each op of each rank, and after its last.

    Every message gets one moment in a single order of all events. A clock ticks;
    F, I and W take one tick, B and FB two. When an op ends, its messages join the
    open batches of both their ranks; a rank that starts an op first closes its batch.
    Both ends of a channel see the moments in the same order, so the k-th send meets
    the k-th receive; and the earliest event that has not happened never waits for a
    later one, so nothing deadlocks, even where a send blocks until it is received.
    The ticks only choose among safe orders: real durations may be anything.

    Where the ops cannot run to their end, the rest gets no messages: `verify` says why.
    """
    clock = _Clock(numbering, ops)
    while clock.start_ops():
        clock.tick()
    return clock.close()


class _Clock:
    """Ranks that run their ops, and the batch that each has open."""

    def __init__(self, numbering: Numbering, ops: list[list[FlatOp]]) -> None:
        self.ops, self.n = ops, numbering.n
        self.ends = [(wire.source, wire.destination) for wire in numbering.wires]
        self.batches: list[list[Group]] = [[] for _ in ops]
        self.sends: list[list[int]] = [[] for _ in ops]
        self.receives: list[list[int]] = [[] for _ in ops]
        self.arrived = bytearray(2 * numbering.chunks)
        self.idle = [rank for rank, rank_ops in enumerate(ops) if rank_ops]
        # Ranks whose op ends in one tick, and in two.
        self.ending: list[list[int]] = [[], []]

    def start_ops(self) -> bool:
        """Idle ranks start their next op if its messages are there. False if none runs."""
        waiting = []
        arrived = self.arrived
        for rank in self.idle:
            kind, _, _, awaits, _ = self.ops[rank][len(self.batches[rank])]
            for message in awaits:
                if not arrived[message]:
                    waiting.append(rank)
                    break
            else:
                self._close_batch(rank)
                self.ending[TICKS[kind] - 1].append(rank)
        self.idle = waiting
        return any(self.ending)

    def tick(self) -> None:
        """Ops end: what they made is sent and received from now on."""
        ended = self.ending.pop(0)
        self.ending.append([])
        n, ends, arrived = self.n, self.ends, self.arrived
        for rank in ended:
            started = len(self.batches[rank])
            for message in self.ops[rank][started - 1][4]:
                source, destination = ends[message // n]
                self.sends[source].append(message)
                self.receives[destination].append(message)
                arrived[message] = True
            if started < len(self.ops[rank]):
                self.idle.append(rank)

    def close(self) -> list[list[Group]]:
        """What is left to send after the last ops; nothing for ops that never ran."""
        for rank, rank_ops in enumerate(self.ops):
            self._close_batch(rank)
            self.batches[rank] += [()] * (len(rank_ops) + 1 - len(self.batches[rank]))
        return self.batches

    def _close_batch(self, rank: int) -> None:
        sends, receives = self.sends[rank], self.receives[rank]
        if sends or receives:
            self.batches[rank].append(((tuple(sends), tuple(receives)),))
            sends.clear()
            receives.clear()
        else:
            self.batches[rank].append(())
