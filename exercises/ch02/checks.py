"""What an answer to chapter 2 must do: agree with the package's verifier on schedules and their mutants.

The mutants are drawn with fixed seeds, so that an answer fails on the same one every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from reprlib import repr as short
from typing import Any, NamedTuple

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check
from dualpipe_ref.grading.oplists import Size, growing, to_plain
from dualpipe_ref.schedule import InputError, Placement, Schedule, build
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import Rule

from .mutants import MUTATIONS, Programs, exchange_alike, fuse, move, swap

SIZES: dict[str, tuple[Size, ...]] = {
    "gpipe": ((2, 1), (2, 2), (3, 3), (4, 4)),
    "1f1b": ((2, 1), (2, 2), (2, 4), (3, 2), (4, 6)),
    "interleaved": ((2, 2), (2, 4), (4, 4)),
    "zb-h1": ((2, 2), (3, 4), (4, 4)),
    "zb-v": ((2, 2), (2, 3), (3, 4)),
    "chimera": ((2, 2), (4, 4)),
    "dualpipe": ((2, 2), (2, 4), (4, 8)),
    "dualpipev": ((2, 3), (2, 4), (3, 6)),
}
LARGE = (("1f1b", (8, 20)), ("zb-v", (8, 20)), ("dualpipe", (8, 20)), ("dualpipev", (8, 20)))
# Mutants of each schedule for each kind of change: more where deadlocks come from.
ROUNDS = dict.fromkeys(MUTATIONS, 3) | dict.fromkeys((swap, exchange_alike, move, fuse), 12)

WORDS = {Rule.COMPLETENESS: "incomplete", Rule.ORDER: "order", Rule.DEADLOCK: "deadlock"}


class Case(NamedTuple):
    """A schedule that an answer is asked about, the right word for it, and why."""

    title: str
    changes: int
    placement: Placement
    n: int
    ops: tuple[tuple[tuple[Any, ...], ...], ...]
    word: str
    why: str

    def question(self) -> dict[str, Any]:
        """What the reader's function is given: new every time, so that it may do with it what it likes."""
        return {
            "ranks": len(self.ops),
            "n": self.n,
            "routes": [list(route) for route in self.placement.routes],
            "ops": [list(ops) for ops in self.ops],
        }


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """Every schedule as it is, with one change, and with two; smallest first."""
    small = [(kind, size) for kind, sizes in SIZES.items() for size in growing(sizes)]
    small.sort(key=lambda entry: entry[1][0] * entry[1][1])
    found = [_judged(build(kind, *size)) for kind, size in (*small, *LARGE)]
    for kind, size in small:
        found += _mutants(build(kind, *size))
    return tuple(found)


def _mutants(schedule: Schedule) -> Iterator[Case]:
    """Each change alone, and each followed by another one."""
    for number, change in enumerate(MUTATIONS):
        for turn in range(ROUNDS[change]):
            random = Random(f"{schedule!r} {change.__name__} {turn}")
            second = MUTATIONS[(number + turn + 1) % len(MUTATIONS)]
            for changes in ((change,), (change, second)):
                programs = [list(ops) for ops in schedule.ops]
                notes = [note for mutate in changes if (note := mutate(programs, random))]
                if len(notes) == len(changes):
                    yield _judged(schedule, programs, notes)


def _judged(
    schedule: Schedule, programs: Programs | None = None, notes: list[str] | None = None
) -> Case:
    """The case of these op lists, by the verdict of the package."""
    programs = programs or [list(ops) for ops in schedule.ops]
    change = "; then ".join(notes or ["unchanged"])
    word, why = _verdict(schedule, programs)
    return Case(
        f"{schedule.kind}, P = {schedule.ranks}, m = {schedule.microbatches}, {change}",
        len(notes or ()),
        schedule.placement,
        schedule.microbatches_per_direction,
        tuple(tuple(map(to_plain, ops)) for ops in programs),
        word,
        why,
    )


def _verdict(schedule: Schedule, programs: Programs) -> tuple[str, str]:
    """(word, reason) of the package for these op lists, with its own messages among them."""
    slots = schedule.placement.slots if schedule.kind == "interleaved" else None
    try:
        changed = assemble(
            schedule.kind, schedule.ranks, schedule.microbatches, programs.__getitem__, slots
        )
    except InputError as error:  # a micro-batch that the step has not
        return "incomplete", str(error)
    found = find_violations(changed)
    if not found:
        return "fine", "every op can run, each piece of work once"
    return WORDS[found[0].rule], str(found[0])


def agrees(wanted: Callable[[Case], bool]) -> Callable[[Answer], str | None]:
    """A check: the answer's word is the package's, on all cases that are `wanted`."""

    def find_fault(answer: Answer) -> str | None:
        for case in filter(wanted, cases()):
            said = call(answer, "find_problem", case.question())
            # Its type as well: an object may claim to equal any word.
            if type(said) is not str or said != case.word:
                return f"{case.title}: you say {short(said)}, it is {case.word!r}: {case.why}"
        return None

    return find_fault


def once(word: str) -> Callable[[Case], bool]:
    return lambda case: case.changes == 1 and case.word == word


# Which cases each check asks about.
GROUPS: dict[str, tuple[str, Callable[[Case], bool]]] = {
    "correct schedules": (
        'all eight kinds, up to P = 8, are "fine"',
        lambda case: case.changes == 0,
    ),
    "missing or doubled": ('work left out or run twice is "incomplete"', once("incomplete")),
    "order": ('an op before what it needs of its own rank is "order"', once("order")),
    "deadlock": ('ranks that wait for each other in a ring are a "deadlock"', once("deadlock")),
    "legal changes": ('a change that breaks no rule leaves it "fine"', once("fine")),
    "two changes": (
        "the first that applies, where two changes meet",
        lambda case: case.changes == 2,
    ),
}

CHECKS = tuple(Check(name, promise, agrees(wanted)) for name, (promise, wanted) in GROUPS.items())
