"""The step bench: both sides compute the same bits, and where they do not, nothing is timed."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.bench.peers import CLASSES, Case
from dualpipe_ref.bench.processes import BenchError
from dualpipe_ref.bench.ratios import median_interval
from dualpipe_ref.bench.step import run

SMALL = {
    "vocabulary": 11,
    "hidden": 12,
    "layers": 4,
    "heads": 2,
    "head_dim": 4,
    "rotary_dim": 2,
    "key_value_latent": 5,
    "experts": 4,
    "expert_hidden": 7,
}


def case(kind: str) -> Case:
    return Case(kind, 2, 4, 6, SMALL)


@pytest.mark.parametrize("kind", CLASSES)
def test_both_sides_agree_and_are_timed_in_turn(kind: str) -> None:
    found = run(case(kind), "compare", 3)
    for times in found.values():
        assert {name: len(some) for name, some in times.items()} == {"ours": 3, "theirs": 3}
        assert min(min(some) for some in times.values()) > 0


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_memory_of_one_side_is_told_by_every_rank(side: str) -> None:
    found = run(case("1f1b"), "memory", 1, side)
    assert len(found["peak"]) == 2
    assert all(0 <= more < peak for more, peak in zip(found["steps"], found["peak"], strict=True))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("data", "loss of micro-batch 3"),
        ("target", "loss of micro-batch 3"),
        ("gradient", "gradient of stage"),
        ("lost", "is missing there"),
    ],
)
def test_a_side_that_computes_something_else_is_refused(fault: str, words: str) -> None:
    with pytest.raises(BenchError, match=f"do not compute the same.*{words}"):
        run(case("dualpipev"), "compare", 1, worker=("tests.test_bench.wrong_step", fault))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_the_interval_holds_the_median_of_what_was_seen(values: list[float]) -> None:
    low, high = median_interval(values)
    assert min(values) <= low <= median(values) <= high <= max(values)
