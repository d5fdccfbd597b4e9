"""Reads the viewer's data back, as web/model.js does, and says where it differs from the timeline."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from dualpipe_ref.schedule import Chunk, Op, OpKind
from dualpipe_ref.simulate import Timeline

from ..test_simulate import reference

Data = dict[str, Any]


def time_at(data: Data, place: int) -> str:
    """The text of a time."""
    return data["exact"].get(str(place)) or str(data["times"][place])


def exact(text: str) -> Fraction:
    return Fraction(text.split()[0])


def ops_of(data: Data, rank: int) -> list[Op]:
    columns, n = data["ops"][rank], data["microbatches"]

    def chunk(number: int) -> Chunk | None:
        return None if number < 0 else Chunk(*divmod(number, n))

    return [
        Op(OpKind(data["kinds"][int(kind)]["name"]), chunk(forward), chunk(backward))
        for kind, forward, backward in zip(
            columns["kinds"], columns["forward"], columns["backward"], strict=True
        )
    ]


def faults(data: Data, timeline: Timeline) -> Iterator[str]:
    """Where the data say something else than the timeline, as sentences."""
    for rank, spans in enumerate(timeline.spans):
        columns = data["ops"][rank]
        if ops_of(data, rank) != list(timeline.schedule.ops[rank]):
            yield f"rank {rank} has other ops"
        for name, place in (("starts", 1), ("ends", 2)):
            read = [exact(time_at(data, time)) for time in columns[name]]
            if read != [span[place] for span in spans]:
                yield f"rank {rank} has other {name}"
    yield from _other_needs(data, timeline)


def _other_needs(data: Data, timeline: Timeline) -> Iterator[str]:
    """Messages come from where an independent reading of the placement says, when the run says."""
    arrivals = {
        (t.message.payload.value, t.message.direction, t.message.stage, t.message.microbatch): t.end
        for t in timeline.transfers
    }
    names = {"F": "activation", "I": "gradient"}
    for (rank, place), needed in reference.dependencies(timeline.schedule).items():
        wanted = sorted(
            (*source, arrivals[names[key[0]], *key[1:]])
            for source, key in needed
            if source[0] != rank
        )
        found = sorted(
            (source, there, exact(time_at(data, time)))
            for at, source, there, time in data["ops"][rank]["needs"]
            if at == place
        )
        if wanted != found:
            yield f"op {place} of rank {rank} needs {found}, not {wanted}"


def starts_too_early_or_late(data: Data) -> Iterator[str]:
    """With sends that do not block an op starts when the last thing that it waits for is there."""
    for rank, columns in enumerate(data["ops"]):
        for place, start in enumerate(columns["starts"]):
            there = [need[3] for need in columns["needs"] if need[0] == place]
            before = columns["ends"][place - 1 : place] if place else [0]
            if start != max(before + there):
                yield f"op {place} of rank {rank}"
