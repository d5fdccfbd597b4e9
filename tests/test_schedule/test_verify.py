"""The verifier accepts exactly what the reference executor can run, under both ways of sending."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dualpipe_ref.schedule import KINDS, Schedule, verify
from dualpipe_ref.schedule.check_messages import check_messages

from .comparison import Mutant, opinions, sweep
from .mutations import ALWAYS_WRONG, EITHER, MUTATIONS, programs_of
from .samples import Size, all_sizes, schedule_of

SMALL = all_sizes(range(2, 5), range(1, 9))
MEDIUM = all_sizes(range(4, 9), range(6, 21))


def check_agreement(mutant: Mutant) -> tuple[bool, bool]:
    """Whether the mutant is legal when sends block, and when they do not."""
    verdicts = []
    for rendezvous in (True, False):
        found = opinions(mutant, rendezvous=rendezvous)
        assert found.agree, f"{mutant.origin}, {mutant.names}, {rendezvous=}: {found}"
        verdicts.append(found.executor is None)
    blocking, eager = verdicts
    assert eager or not blocking, "what runs with sends that block also runs with buffered ones"
    return blocking, eager


@pytest.mark.parametrize("kind", KINDS)
def test_generated_schedules_run(kind: str) -> None:
    for size in SMALL + MEDIUM[::7]:
        if size[0] == kind:
            schedule = schedule_of(size)
            assert check_agreement(Mutant(schedule, (), programs_of(schedule))) == (True, True)


@st.composite
def mutants(draw: st.DrawFn) -> Mutant:
    """One to three mutations, at places that hypothesis can shrink."""
    origin = schedule_of(draw(st.sampled_from(SMALL)))
    names = tuple(draw(st.lists(st.sampled_from(sorted(MUTATIONS)), min_size=1, max_size=3)))
    programs = programs_of(origin)
    for name in names:
        assume(MUTATIONS[name](programs, lambda below: draw(st.integers(0, below - 1))))
    return Mutant(origin, names, programs)


@settings(max_examples=600, deadline=None)
@given(mutants())
def test_mutants(mutant: Mutant) -> None:
    check_agreement(mutant)


def check_sweep(sizes: list[Size], seeds: range) -> Counter[tuple[str, bool]]:
    """How many mutants of a single mutation are legal, and how many are not."""
    seen: Counter[tuple[str, bool]] = Counter()
    for mutant in sweep(sizes, seeds):
        blocking, eager = check_agreement(mutant)
        seen["legal only when sends are buffered", True] += eager and not blocking
        if len(mutant.names) == 1:
            seen[mutant.names[0], blocking] += 1
    return seen


def test_both_verdicts_occur_for_every_mutation() -> None:
    """Were one of them missing, the comparison would say little about it."""
    seen = check_sweep(SMALL, range(6000))
    for name in EITHER:
        assert seen[name, True] >= 5, (name, seen)
        assert seen[name, False] >= 20, (name, seen)
    for name in ALWAYS_WRONG:
        assert seen[name, False] >= 20, (name, seen)
        assert seen[name, True] == 0, (name, seen)
    assert seen["legal only when sends are buffered", True] >= 20


def test_medium_sizes() -> None:
    check_sweep(MEDIUM, range(500))


@pytest.mark.slow
def test_very_many_mutants() -> None:
    check_sweep(SMALL, range(10_000, 100_000))
    check_sweep(MEDIUM, range(10_000, 20_000))


def nothing(_: Schedule) -> list:
    return []


def without(words: str) -> object:
    """The check of messages, which says nothing of the faults that it describes with these words."""
    return lambda schedule: [v for v in check_messages(schedule) if words not in v.reason]


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ("check_compute", nothing),
        ("check_messages", without("channel")),
        ("check_messages", without(" sent")),
        ("check_messages", without("too late")),
        ("check_rendezvous", nothing),
        ("check_eager", nothing),
    ],
)
def test_the_comparison_notices_a_missing_check(
    check: str, fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, check, fault)
    assert any(
        not opinions(mutant, rendezvous=rendezvous).agree
        for mutant in sweep(SMALL, range(20_000))
        for rendezvous in (True, False)
    )
