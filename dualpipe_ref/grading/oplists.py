"""Op lists as plain data: read a reader's lists, say what is wrong with them, make a Schedule of them.

An op is ("F", slot, microbatch), the same with "I", "W" or "B", or ("FB", (slot, microbatch),
(slot, microbatch)) with the forward's chunk first. Lists serve as well as tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import prod
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.schedule import Chunk, InputError, Op, OpKind, Schedule
from dualpipe_ref.schedule.kinds import has_open_slots
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import Rule, Violation

# (P, m), or (P, m, v) of a schedule whose stages a rank are open
Size = tuple[int, ...]
BEFORE_DEADLOCK = (Rule.COMPLETENESS, Rule.ORDER)


def growing(sizes: Iterable[Size]) -> tuple[Size, ...]:
    """Sizes from small to large, so that the first that fails is the smallest.

    >>> growing([(4, 1), (2, 3), (2, 1)])
    ((2, 1), (4, 1), (2, 3))
    """
    return tuple(sorted(sizes, key=lambda size: (prod(size), size)))


def to_plain(op: Op) -> tuple[Any, ...]:
    """The op as plain data.

    >>> to_plain(Op(OpKind.FB, Chunk(0, 3), Chunk(1, 2)))
    ('FB', (0, 3), (1, 2))
    """
    if op.forward and op.backward:
        return str(op.kind), tuple(op.forward), tuple(op.backward)
    return str(op.kind), *(op.forward or op.backward or ())


def to_op(item: object) -> Op:
    """The op that this plain data means. Raises `Fault` where it means none.

    >>> print(to_op(["B", 0, 3]))
    B0.3
    >>> to_op(("F", 3))
    Traceback (most recent call last):
    dualpipe_ref.grading.checks.Fault: ('F', 3) is no op: write (kind, slot, microbatch) with kind F, I, W or B, or ...
    """
    match item if _is_plain(item) else None:
        case ["FB", [int(), int()] as forward, [int(), int()] as backward]:
            return Op(OpKind.FB, Chunk(*forward), Chunk(*backward))
        case ["F", int(slot), int(microbatch)]:
            return Op(OpKind.F, Chunk(slot, microbatch))
        case ["I" | "W" | "B" as kind, int(slot), int(microbatch)]:
            return Op(OpKind(kind), None, Chunk(slot, microbatch))
    raise Fault(
        f"{short(item)} is no op: write (kind, slot, microbatch) with kind F, I, W or B,"
        ' or ("FB", (slot, microbatch), (slot, microbatch))'
    )


def _is_plain(item: object, depth: int = 2) -> bool:
    """Whether it is made of exact ints and strings: an object of another class may claim to equal any."""
    if isinstance(item, list | tuple):
        return depth > 0 and len(item) <= 3 and all(_is_plain(part, depth - 1) for part in item)
    return type(item) in (int, str)


def ask_rank(answer: Answer, name: str, rank: int, size: Size) -> list[Op]:
    """The ops that the reader's function gives for one rank. Raises `Fault` where they are none."""
    try:
        items = call(answer, name, rank, *size)
        if not isinstance(items, list | tuple):
            raise Fault(f"{name} returns {short(items)} for rank {rank}, not a list of ops")
        return [to_op(item) for item in items]
    except Fault as fault:
        raise Fault(f"{at(size)}: {fault}") from None


def ask(answer: Answer, name: str, kind: str, size: Size) -> Schedule:
    """The schedule made of the reader's op lists, the package placing its messages.

    Raises `Fault` for an op that is malformed, or outside the step's slots and micro-batches.
    """
    ranks, microbatches, *chunks = size
    try:
        return assemble(
            kind, ranks, microbatches, lambda rank: ask_rank(answer, name, rank, size), *chunks
        )
    except InputError as error:
        raise Fault(f"{at(size)}: {error}") from None


def each(
    answer: Answer, name: str, kind: str, sizes: Iterable[Size]
) -> Iterator[tuple[Size, Schedule]]:
    """The reader's schedule of every size, smallest first."""
    for size in sizes:
        yield size, ask(answer, name, kind, size)


def violations(
    answer: Answer, name: str, kind: str, sizes: Iterable[Size]
) -> Iterator[tuple[Schedule, Violation]]:
    """The first broken rule of every schedule that breaks one."""
    for _, schedule in each(answer, name, kind, sizes):
        if found := find_violations(schedule):
            yield schedule, found[0]


def broken(schedule: Schedule, violation: Violation, more: str = "") -> Fault:
    """The fault of a schedule that breaks a rule, with its run as far as it comes."""
    return Fault(
        f"{at(size_of(schedule))}: {violation}{more}", Counterexample.of(schedule, violation)
    )


def incomplete(name: str, kind: str, sizes: Iterable[Size]) -> Callable[[Answer], Fault | None]:
    """A check: each rank runs the work of each of its chunks once, and what it needs of itself first."""

    def find_fault(answer: Answer) -> Fault | None:
        for schedule, violation in violations(answer, name, kind, sizes):
            if violation.rule in BEFORE_DEADLOCK:
                return broken(schedule, violation)
        return None

    return find_fault


def stuck(name: str, kind: str, sizes: Iterable[Size]) -> Callable[[Answer], Fault | None]:
    """A check of complete schedules: no deadlock, and both ends of every channel in the same order."""

    def find_fault(answer: Answer) -> Fault | None:
        for schedule, violation in violations(answer, name, kind, sizes):
            return broken(schedule, violation)
        return None

    return find_fault


def size_of(schedule: Schedule) -> Size:
    """Its size, as a reader's function is given it.

    >>> from dualpipe_ref.schedule import build
    >>> size_of(build("1f1b", 4, 8)), size_of(build("interleaved", 4, 8, 3))
    ((4, 8), (4, 8, 3))
    """
    chunks = (schedule.placement.slots,) if has_open_slots(schedule.kind) else ()
    return schedule.ranks, schedule.microbatches, *chunks


def at(size: Size) -> str:
    """The size in words.

    >>> at((4, 8)), at((4, 8, 3))
    ('P = 4, m = 8', 'P = 4, m = 8, v = 3')
    """
    return ", ".join(f"{name} = {value}" for name, value in zip("Pmv", size, strict=False))
