"""A schedule of a ring, step by step, as what the viewer reads: memory after each step, and what the step is about.

Standard library only.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.trace import Event
from dualpipe_ref.plot.bars import facts_as_html
from dualpipe_ref.plot.palette import Palette, palette
from dualpipe_ref.schedule.ir import OpKind

COLOURS = 5  # messages take turns in so many fills: in one to four slots the next message of a slot has another


class Slots(NamedTuple):
    """Slots that lie together, each the names of its parts."""

    label: str
    slots: tuple[tuple[str, ...], ...]


class Word(NamedTuple):
    """A word: what it is called on the picture, its name in the protocol, and who stores it. With `marks` it is a
    counter, which is also shown below the slots of that number at its place in the ring."""

    label: str
    name: str
    note: str
    marks: int | None = None


class Place(NamedTuple):
    """Whose memory, and what lies in it."""

    name: str
    slots: tuple[Slots, ...]
    words: tuple[Word, ...]


def ring_data(
    sentence: str,
    trace: Sequence[Event],
    places: Sequence[Place],
    message_of: Callable[[int], int] = int,
    facts: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The steps of `trace`, with all that lies in `places` after each; `message_of(value)` says which message a value
    in a slot belongs to, which gives its colour.

    >>> event = Event("sender", "", "writes 0 to slot", "slot", 0, True)
    >>> data = ring_data("one step", [event], [Place("here", (Slots("ring", (("slot",),)),), ())])
    >>> [step["values"] for step in data["steps"]], data["steps"][1]["at"]
    ([[None], [0]], 0)
    """
    names, held = _names(places)
    number = {name: at for at, name in enumerate(names)}
    steps: list[dict[str, Any]] = [
        {"who": "", "what": "before the first step", "at": None, "values": list(held)}
    ]
    for event in trace:
        at = number.get(event.place)
        what = event.what
        if at is not None and event.changes:
            held[at] = event.value
        elif at is not None and _is_slot(places, event.place) and held[at] != event.value:
            there = "nothing" if held[at] is None else held[at]
            what = f"{what} – stale: {there} is there"
        steps.append({"who": event.role, "what": what, "at": at, "values": list(held)})
    return {
        "view": "ring",
        "sentence": sentence,
        "places": _plain(places, number),
        "steps": steps,
        "colours": {
            str(value): message_of(value) % COLOURS
            for step in steps
            for value in step["values"]
            if value is not None
        },
        "facts": [dict(fact) for fact in facts],
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def as_html(data: Mapping[str, Any]) -> str:
    """The same as text, for a page that runs no script."""
    steps = "".join(
        f"<li>{html.escape(step['who'])}: {html.escape(step['what'])}</li>"
        for step in data["steps"][1:]
    )
    return f"<p>{html.escape(data['sentence'])}</p><ol>{steps}</ol>{facts_as_html(data['facts'])}"


def _names(places: Sequence[Place]) -> tuple[list[str], list[int | None]]:
    """Everything that lies somewhere, and what it holds before the first step."""
    names: list[str] = []
    held: list[int | None] = []
    for place in places:
        parts = [part for area in place.slots for slot in area.slots for part in slot]
        names += [*parts, *(word.name for word in place.words)]
        held += [*([None] * len(parts)), *([0] * len(place.words))]
    return names, held


def _is_slot(places: Sequence[Place], name: str) -> bool:
    return any(name in slot for place in places for area in place.slots for slot in area.slots)


def _plain(places: Sequence[Place], number: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "name": place.name,
            "slots": [
                {
                    "label": area.label,
                    "slots": [[number[part] for part in slot] for slot in area.slots],
                }
                for area in place.slots
            ],
            "words": [
                {"label": word.label, "at": number[word.name], "note": word.note}
                for word in place.words
            ],
            "marks": [
                {"label": word.label, "at": number[word.name], "size": word.marks}
                for other in places
                for word in other.words
                if word.marks and any(len(area.slots) == word.marks for area in place.slots)
            ],
        }
        for place in places
    ]


def _colours(colours: Palette) -> dict[str, Any]:
    fills = [colours.fill(kind) for kind in (OpKind.F, OpKind.I, OpKind.W, OpKind.B)]
    fills.append(colours.fill(OpKind.F, slot=1))
    plain = ("ink", "muted", "paper", "idle", "border", "highlight")
    return {
        **{name: getattr(colours, name) for name in plain},
        "fills": fills,
        "inks": [colours.ink_on(fill) for fill in fills],
    }
