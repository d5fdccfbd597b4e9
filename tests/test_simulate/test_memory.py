"""What ranks hold, counted again chunk by chunk from the timeline."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given

from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import Costs, Network, Timeline, over_time, peaks, simulate
from dualpipe_ref.simulate.costs import Number

from .reference import makes
from .strategies import runs


def lifetimes(timeline: Timeline, rank: int) -> list[tuple[Number, Number, Number]]:
    """For each chunk of a rank: forward starts, input gradient ends, weight gradient ends."""
    taken, sent, done = {}, {}, {}
    for span in timeline.spans[rank]:
        for name, *chunk in makes(timeline.schedule, rank, span.op):
            if name == "F":
                taken[tuple(chunk)] = span.start
            if name == "I":
                sent[tuple(chunk)] = span.end
            if name == "W" or (name == "I" and span.op.kind != "I"):
                done[tuple(chunk)] = span.end
    return [(taken[chunk], sent[chunk], done[chunk]) for chunk in taken]


@given(runs())
def test_levels_and_peaks_against_lifetimes(run: tuple[Schedule, Costs, Network]) -> None:
    timeline = simulate(*run)
    highest = peaks(timeline.schedule)
    for rank, levels in enumerate(over_time(timeline)):
        lives = lifetimes(timeline, rank)
        for level in levels:
            now = level.time
            assert level.activations == sum(begin <= now < sent for begin, sent, _ in lives)
            assert level.held == sum(begin <= now < done for begin, _, done in lives)
            assert level.pending_weights == level.held - level.activations
        assert highest.activations[rank] == max(level.activations for level in levels)
        assert highest.held[rank] == max(level.held for level in levels)
        assert highest.pending_weights[rank] == max(level.pending_weights for level in levels)
        assert levels[0].time == 0
        assert levels[-1][1:] == (0, 0, 0)
        assert all(one.time < two.time for one, two in pairwise(levels))
        assert all(one[1:] != two[1:] for one, two in pairwise(levels))


def test_an_overlapped_pair_holds_both_chunks() -> None:
    timeline = simulate(build("dualpipe", 2, 4), Costs(FB=3))
    pair = next(span for span in timeline.spans[0] if span.op.kind == "FB")
    held = [level for level in over_time(timeline)[0] if level.time <= pair.start]
    assert held[-1].activations == 3
