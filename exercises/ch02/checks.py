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
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import Size, growing, to_op, to_plain
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

    kind: str
    size: Size
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

    def counterexample(self) -> Counterexample | None:
        """How the schedule runs; None where it has an op that no step has, and so cannot be drawn."""
        programs = [[to_op(op) for op in ops] for ops in self.ops]
        try:
            return Counterexample.of_schedule(_assembled(self.kind, self.size, programs))
        except InputError:
            return None


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
        schedule.kind,
        (schedule.ranks, schedule.microbatches),
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
    try:
        changed = _assembled(schedule.kind, (schedule.ranks, schedule.microbatches), programs)
    except InputError as error:  # a micro-batch that the step has not
        return "incomplete", str(error)
    found = find_violations(changed)
    if not found:
        return "fine", "every op can run, each piece of work once"
    return WORDS[found[0].rule], str(found[0])


def _assembled(kind: str, size: Size, programs: Programs) -> Schedule:
    """The schedule of these op lists, the package placing its messages."""
    slots = build(kind, *size).placement.slots if kind == "interleaved" else None
    return assemble(kind, *size, programs.__getitem__, slots)


def agrees(wanted: Callable[[Case], bool]) -> Callable[[Answer], Fault | None]:
    """A check: the answer's word is the package's, on all cases that are `wanted`."""

    def find_fault(answer: Answer) -> Fault | None:
        for case in filter(wanted, cases()):
            said = call(answer, "find_problem", case.question())
            # Its type as well: an object may claim to equal any word.
            if type(said) is not str or said != case.word:
                reason = f"{case.title}: you say {short(said)}, it is {case.word!r}: {case.why}"
                return Fault(reason, case.counterexample())
        return None

    return find_fault


def once(word: str) -> Callable[[Case], bool]:
    return lambda case: case.changes == 1 and case.word == word


class Group(NamedTuple):
    """The cases that one check asks about."""

    promise: str
    wanted: Callable[[Case], bool]
    points: int
    hint: str


GROUPS: dict[str, Group] = {
    "correct schedules": Group(
        'all eight kinds, up to P = 8, are "fine"',
        lambda case: case.changes == 0,
        2,
        "translate every op into pieces of work: B is an I and a W, FB is an F, an I and a W",
    ),
    "missing or doubled": Group(
        'work left out or run twice is "incomplete"',
        once("incomplete"),
        1,
        "compare the pieces that run, with how often each does, with all pieces of the step",
    ),
    "order": Group(
        'an op before what it needs of its own rank is "order"',
        once("order"),
        2,
        "both halves of an FB begin together: neither may need the other",
    ),
    "deadlock": Group(
        'ranks that wait for each other in a ring are a "deadlock"',
        once("deadlock"),
        2,
        "let every rank run as far as it can, again and again, until a whole round runs nothing",
    ),
    "legal changes": Group(
        'a change that breaks no rule leaves it "fine"',
        once("fine"),
        2,
        "only what an op needs matters, not how its neighbours are usually arranged",
    ),
    "two changes": Group(
        "the first that applies, where two changes meet",
        lambda case: case.changes == 2,
        1,
        "ask the three questions for the whole schedule one after another, not rank by rank",
    ),
}

CHECKS = tuple(
    Check(name, group.promise, agrees(group.wanted), points=group.points, hint=group.hint)
    for name, group in GROUPS.items()
)
