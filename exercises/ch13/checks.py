"""What an answer to chapter 13 must do: hand over every message in every schedule, smallest ring first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dualpipe_ref.comm.protocol import explore
from dualpipe_ref.comm.protocol.world import World
from dualpipe_ref.grading.checks import Answer, Check, Fault

from .case import RingCase, places_of
from .machine import Size, asked, barrier_world, ring_world
from .stopped import fills_ring, takes_at_once

MOST_STATES = 60_000


def ways(world: World, where: str, is_weak: bool) -> Fault | None:
    """Try every schedule; the fault has the shortest that goes wrong."""
    try:
        found = explore(world, is_weak, reduce=False, most_states=MOST_STATES)
    except Fault as fault:  # what is yielded is no operation, or nothing can be yielded
        return Fault(f"{where}: {fault}")
    if found.is_right:
        return None
    why = found.why.replace(" waits at ", " waits for ")
    if found.kind == "unfinished":
        return Fault(f"{where}: it does not come to an end within {MOST_STATES:,} states")
    kind = "deadlock" if found.kind == "deadlock" else _memory(is_weak)
    count = len(found.trace)
    steps = f"the shortest schedule has {count} steps" if count else "nobody takes a first step"
    return Fault(
        f"{where}: {kind}: {why} ({steps})",
        RingCase(f"{where}: {why}", found.trace, places_of(world)),
    )


def _memory(is_weak: bool) -> str:
    return "on weak memory" if is_weak else "wrong"


def rings(sizes: Iterable[Size], is_weak: bool) -> Callable[[Answer], Fault | None]:
    """A check: rings of these sizes, in every schedule."""

    def find_fault(answer: Answer) -> Fault | None:
        for size in sizes:
            fault = ways(ring_world(asked(answer, size), size), str(size), is_weak)
            if fault:
                return fault
        return None

    return find_fault


def chunks(answer: Answer) -> Fault | None:
    for is_weak in (False, True):
        for size in CHUNKS:
            if is_weak and size.count > 4:
                continue
            fault = ways(ring_world(asked(answer, size), size), str(size), is_weak)
            if fault:
                return fault
    return None


def lean(answer: Answer) -> Fault | None:
    """Neither side waits for more than it needs."""
    for size in (Size(1, 2), Size(2, 3), Size(3, 5), Size(3, 2), Size(4, 9)):
        ends = asked(answer, size)
        for look in (fills_ring, takes_at_once):
            reason = look(ends, size)
            if reason:
                return Fault(f"{size}: {reason}")
    return None


def barriers(answer: Answer) -> Fault | None:
    for ranks, rounds in ((1, 1), (2, 1), (2, 2), (3, 1)):
        world = barrier_world(answer, ranks, rounds)
        for is_weak in (False, True):
            where = f"ranks = {ranks}, {2 * rounds} barriers"
            fault = ways(world, where, is_weak)
            if fault:
                return fault
    return None


def _fitting() -> Iterator[Size]:
    for size in range(1, 4):
        for count in range(size + 1):
            yield Size(size, count)


FITTING = tuple(_fitting())
WRAPPING = tuple(
    Size(size, count) for size in range(1, 4) for count in range(size + 1, 2 * size + 2)
)
WEAK = (*(one for one in FITTING if one.count), Size(1, 2), Size(1, 3), Size(2, 3), Size(2, 5))
CHUNKS = tuple(
    Size(chunk * times, count, chunk)
    for chunk in (1, 2, 3)
    for times in (1, 2)
    for count in (0, 1, chunk, chunk + 1, chunk * times + 1, 2 * chunk * times + 1)
    if count <= 7
)

CHECKS = (
    Check(
        "fits",
        "every message once, whole and in order, where no slot is used twice",
        rings(FITTING, is_weak=False),
        points=1,
        hint="tail says: everything below me is there; store it when that is so, and not before",
    ),
    Check(
        "wraps",
        "the same where slots are used again: nothing overwritten, nothing taken twice, no deadlock",
        rings(WRAPPING, is_weak=False),
        needs=("fits",),
        points=2,
        hint="counter k may be written when k - head < size; head may move when the slots below it have been read",
    ),
    Check(
        "weak memory",
        "the same where a store may be seen late, unless a release and an acquire of wide enough scope say otherwise",
        rings(WEAK, is_weak=True),
        needs=("wraps",),
        points=2,
        hint="who stores tail releases, who waits for it acquires; the two GPUs have no scope in common but sys",
    ),
    Check(
        "lean",
        "the sender waits only where all slots are in use, the receiver only where nothing is published",
        lean,
        needs=("wraps",),
        points=1,
        hint="a ring of n slots holds n messages: let the sender go on until it has written so many",
    ),
    Check(
        "chunks",
        "tail and head move a chunk at a time, and nobody waits for what never comes",
        chunks,
        points=2,
        hint="the last chunk may be short and is published all the same; a chunk goes back when it has been read",
    ),
    Check(
        "barrier",
        "what was written before a barrier is seen after it, whatever the schedule, barrier after barrier",
        barriers,
        points=2,
        hint="tell every other rank, then wait for every other rank; numbers that only grow cannot be mistaken for old ones",
    ),
)
