"""Checks of one run, used by the properties and by the tests that plant faults."""

from __future__ import annotations

from itertools import pairwise

from dualpipe_ref.schedule import Schedule
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate

from .reference import Reference, dependencies, duration_of


def check_books(timeline: Timeline) -> None:
    """Busy and idle time add up to the makespan; so do the parts of the idle time."""
    for busy, idle, split in zip(timeline.busy, timeline.idle, timeline.idle_split, strict=True):
        assert busy + idle == timeline.makespan
        assert split.start + split.inside + split.end == split.total == idle
        assert min(split) >= 0


def check_no_overlap(timeline: Timeline) -> None:
    for spans in timeline.spans:
        assert all(0 <= span.start < span.end <= timeline.makespan for span in spans)
        assert all(one.end <= other.start for one, other in pairwise(spans))


def check_dependencies(timeline: Timeline, network: Network) -> None:
    """Nothing starts before what it needs is there."""
    for (rank, place), needed in dependencies(timeline.schedule).items():
        for (source, source_place), _ in needed:
            travel = network.latency if source != rank else 0
            there = timeline.ends[source][source_place] + travel
            assert there <= timeline.starts[rank][place]


def check_against_reference(schedule: Schedule, costs: Costs, network: Network) -> Timeline:
    """Every op and every message has the time that the reference simulator gives it."""
    timeline = simulate(schedule, costs, network)
    reference = Reference(schedule, duration_of(schedule, costs), network)
    for (rank, place), start in reference.start.items():
        assert timeline.starts[rank][place] == start, (rank, place)
        assert timeline.ends[rank][place] == reference.end[rank, place], (rank, place)
    assert len(timeline.transfers) == sum(map(len, reference.channels.values()))
    for transfer in timeline.transfers:
        assert transfer.end == reference.arrive[transfer.message]
        assert transfer.sent == reference.issue[transfer.message.source, transfer.message]
    return timeline
