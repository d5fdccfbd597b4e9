"""Every release, acquire, fence and syncwarp of the shipped kernels is there for a reason: without it, weak memory shows a fault.

A few are not missed, each with its reason. A new place that nobody misses makes this fail: then it orders nothing, or the runs here do not reach what it is for.
"""

from __future__ import annotations

import pytest

from tests.test_transport.orders import VERSIONS, first_notice, noticed, places

SEEDS = 12
LAST_WORD = "it frees the last slots, which nobody asks for again"
OF_THE_CARD = "the emulated card already knows what the lane knows that posts; real ones are told"
LOOKS_AGAIN = "whoever waited so looks once more, and acquires what it then sees"
AGAIN = "the words are flags of the block, and whoever sees an old one looks again"
# What no run here misses, by its function and a part of its line, and why it stands there.
NOT_MISSED = {
    ("queue_combine.receiver", ", ENDLESS)"): LAST_WORD,
    ("queue_forward.forwarder", ", ENDLESS)"): LAST_WORD,
    ("queue_reduce.forwarder", ", ENDLESS)"): LAST_WORD,
    ("queue_plan.publish", "fence_acq_rel_sys"): OF_THE_CARD,
    ("queue_plan.publish", "syncwarp() (2)"): OF_THE_CARD,
    ("queue_combine.receiver_coordinator", "syncwarp"): AGAIN,
    ("queue_forward.forwarder_coordinator", "syncwarp"): AGAIN,
    ("queue_reduce.forwarder_coordinator", "syncwarp"): AGAIN,
    ("waiting.any_lane_in_block", "acquire"): LOOKS_AGAIN,
    ("waiting.any_lane_in_block", "syncwarp"): LOOKS_AGAIN,
    ("waiting.any_grew", "syncwarp"): LOOKS_AGAIN,
}
PLACES = {str(place): place for place in places()}


def exceptions(name):
    """The entries of NOT_MISSED that a place belongs to."""
    function, _, line = name.partition(": ")
    return [(where, part) for where, part in NOT_MISSED if where == function and part in line]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(4))
def test_as_they_are_the_kernels_show_nothing(version, seed):
    assert noticed(version, seed, reads=True) is None


def test_there_are_places_and_the_exceptions_are_among_them():
    assert len(PLACES) > 30
    assert sorted(one for name in PLACES for one in exceptions(name)) == sorted(NOT_MISSED)


# `make test` looks at a few of them, `make test-all` at all.
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, marks=[pytest.mark.slow] if number % 12 else [], id=name)
        for number, (name, place) in enumerate(PLACES.items())
        if not exceptions(name)
    ],
)
def test_without_it_weak_memory_shows_a_fault(place):
    assert first_notice(place, SEEDS), f"{place} is not missed in {SEEDS} seeds"
