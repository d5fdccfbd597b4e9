"""Two opinions on the same programs: the verifier's and the reference executor's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from dualpipe_ref.schedule import InputError, Schedule
from dualpipe_ref.schedule.verify import find_violations

from .mutations import MUTATIONS, Programs, programs_of
from .reference_executor import why_refused
from .samples import Size, schedule_of


class Mutant(NamedTuple):
    """The programs of `origin`, damaged by the mutations of these names."""

    origin: Schedule
    names: tuple[str, ...]
    programs: Programs


class Opinions(NamedTuple):
    """Why the programs are wrong, to each of the two; None where they are right."""

    verifier: str | None
    executor: str | None

    @property
    def agree(self) -> bool:
        return (self.verifier is None) == (self.executor is None)


def opinions(mutant: Mutant, *, rendezvous: bool) -> Opinions:
    origin, _, programs = mutant
    why = why_refused(origin.placement, origin.microbatches, programs, rendezvous=rendezvous)
    return Opinions(_verdict(origin, programs, rendezvous), why)


def _verdict(origin: Schedule, programs: Programs, rendezvous: bool) -> str | None:
    try:
        schedule = Schedule.from_programs(
            origin.kind, origin.placement, origin.microbatches, programs
        )
    except InputError as error:
        return str(error)
    found = find_violations(schedule, rendezvous=rendezvous)
    return "\n".join(map(str, found)) or None


def sweep(sizes: list[Size], seeds: range) -> Iterator[Mutant]:
    """Seeded mutants of schedules of these sizes; every mutation has its turn as the first, or only, one."""
    for seed in seeds:
        generator = random.Random(seed)
        more = generator.choices(list(MUTATIONS), k=generator.choice((0, 0, 1, 2)))
        names = (list(MUTATIONS)[seed % len(MUTATIONS)], *more)
        origin = schedule_of(generator.choice(sizes))
        programs = programs_of(origin)
        if all(MUTATIONS[name](programs, generator.randrange) for name in names):
            yield Mutant(origin, names, programs)
