"""The live view of a ring with a mistake: what the search of all schedules finds. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.explorer import Explored
from dualpipe_ref.comm.protocol.ring_mistakes import RING_MISTAKES, RingMistake
from dualpipe_ref.comm.protocol.trace import Event
from dualpipe_ref.plot.controls import Control, completed, select, slider
from dualpipe_ref.plot.exact import whole_number
from dualpipe_ref.plot.ring_data import Place, Slots, Word, ring_data
from dualpipe_ref.schedule.errors import InputError

PARTS = 2
RUNS = 60
DEFAULTS: dict[str, Any] = {
    "mistake": "credit before the slots are read",
    "slots": 2,
    "messages": 4,
}
MOST = {"slots": 4, "messages": 6}
MISTAKES = {one.name: one for one in RING_MISTAKES}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in MOST}


class Case(NamedTuple):
    """A state, read."""

    mistake: RingMistake
    slots: int
    messages: int


def case_of(state: Mapping[str, Any]) -> Case:
    """The mistake and the sizes of this state; `InputError` for one that is not there."""
    given = completed(state, DEFAULTS)
    sizes = {name: whole_number(name, given[name], 1, most) for name, most in MOST.items()}
    if given["mistake"] not in MISTAKES:
        raise InputError(f"a mistake is one of {', '.join(MISTAKES)}", repr(given["mistake"])[:80])
    return Case(MISTAKES[given["mistake"]], **sizes)


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the search finds: its shortest schedule step by step, or, where nothing is wrong, one of 60 runs.

    >>> answer({"mistake": "no release"})["sentence"]
    'no release: wrong after 15 states. slot [0].0 is torn: its parts are of message 0, empty'
    """
    case = case_of(state)
    found = explored(case)
    passed, run = runs(case)
    return ring_data(
        sentence_of(case, found),
        found.trace or run,
        places_of(case),
        facts=_facts(case, found, passed),
    )


@lru_cache(maxsize=64)
def explored(case: Case) -> Explored:
    return case.mistake.explored(case.messages, case.slots)


@lru_cache(maxsize=64)
def runs(case: Case) -> tuple[int, tuple[Event, ...]]:
    """How many of 60 adversarial runs see nothing wrong, and the events of the first."""
    found = [case.mistake.ran(case.messages, case.slots, seed) for seed in range(RUNS)]
    shown = case.mistake.ran(case.messages, case.slots, 0, keep=1000)
    return sum(one.is_right for one in found), shown.trace


def sentence_of(case: Case, found: Explored) -> str:
    """The verdict, and why."""
    if found.is_right:
        return f"{case.mistake.name}: every schedule is right, {found.states:,} states. Below, one of them"
    why = found.why.partition(": ")[2] or found.why
    if found.kind == "deadlock":
        why = found.why
    return f"{case.mistake.name}: {found.kind} after {found.states:,} states. {why}"


def places_of(case: Case) -> tuple[Place, ...]:
    """Whose memory holds what: each word lies with whoever polls it."""
    prefix = "ring RDMA " if case.mistake.is_rdma else ""

    def slots(label: str, name: str) -> Slots:
        parts = [tuple(f"{name}[{at}].{part}" for part in range(PARTS)) for at in range(case.slots)]
        return Slots(label, tuple(parts))

    staging = (slots("staging", "ring staging slot "),) if case.mistake.is_rdma else ()
    ring = slots("ring", f"{prefix}slot ")
    head = Word("head", f"{prefix}head", "stored by the receiver, polled here", case.slots)
    tail = Word("tail", f"{prefix}tail", "stored by the sender, polled here", case.slots)
    return Place("the sender's memory", staging, (head,)), Place(
        "the receiver's memory", (ring,), (tail,)
    )


def _facts(case: Case, found: Explored, passed: int) -> list[dict[str, str]]:
    steps = f"{len(found.trace)} steps" if found.trace else "none"
    return [
        {"label": "the mistake", "value": case.mistake.name, "note": case.mistake.why},
        {
            "label": "states tried",
            "value": f"{found.states:,}",
            "note": "every schedule, on weak memory, up to the first that goes wrong",
        },
        {
            "label": "shortest schedule that goes wrong",
            "value": steps,
            "note": "shown above" if found.trace else "",
        },
        {
            "label": "adversarial runs that see nothing",
            "value": f"{passed} of {RUNS}",
            "note": "seeds 0 to 59 of five kinds of schedule, on the same memory",
        },
    ]


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    return [
        select("mistake", "Mistake", given["mistake"], MISTAKES),
        slider("slots", "Slots", whole_number("slots", given["slots"], 1), (1, MOST["slots"])),
        slider(
            "messages",
            "Messages",
            whole_number("messages", given["messages"], 1),
            (1, MOST["messages"]),
        ),
    ]
