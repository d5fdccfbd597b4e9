"""The step bench: both sides compute the same bits, and where they do not, nothing is timed."""

from __future__ import annotations

import dataclasses
import json
import re
from statistics import median
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.bench.peers import CLASSES, Case
from dualpipe_ref.bench.processes import BenchError, run_processes
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


class Compared(NamedTuple):
    """What one set of processes told: times by kind, errors by fault, and how it ended."""

    times: dict[str, dict[str, dict[str, list[float]]]]
    errors: dict[str, str]
    ended: str


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Every kind, and every fault: in one set of processes, which take seconds to load torch."""
    folder = tmp_path_factory.mktemp("step")
    first, told, out = folder / "case.json", folder / "told.json", folder / "out.json"
    first.write_text(json.dumps(dataclasses.asdict(case("dualpipev"))))
    with pytest.raises(BenchError) as caught:
        run_processes("tests.test_bench.step_cases", [told, "compare", first, 3, out], 2)
    return Compared(
        json.loads(out.read_text()), json.loads(told.read_text()), caught.value.outcome.message
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_both_sides_agree_and_are_timed_in_turn(kind: str, compared: Compared) -> None:
    found = compared.times[kind]
    assert found.keys() == {"seconds", "processor"}
    for times in found.values():
        assert {name: len(some) for name, some in times.items()} == {"ours": 3, "theirs": 3}
        assert min(min(some) for some in times.values()) > 0


@pytest.mark.parametrize("side", ["ours", pytest.param("theirs", marks=pytest.mark.slow)])
def test_memory_of_one_side_is_told_by_every_rank(side: str) -> None:
    found = run(case("1f1b"), "memory", 1, side)
    assert len(found["peak"]) == 2
    assert all(0 <= more < peak for more, peak in zip(found["steps"], found["peak"], strict=True))


@pytest.mark.slow  # the comparison itself is above, and how a worker is started in the test of memory
def test_the_worker_compares() -> None:
    assert run(case("1f1b"), "compare", 1)["seconds"].keys() == {"ours", "theirs"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("data", "loss of micro-batch 3"),
        ("target", "loss of micro-batch 3"),
        ("gradient", "gradient of stage"),
        ("lost", "is missing there"),
    ],
)
def test_a_side_that_computes_something_else_is_refused(
    fault: str, words: str, compared: Compared
) -> None:
    told = compared.errors[fault]
    assert "do not compute the same" in told
    assert words in told


def test_a_refusal_ends_the_bench(compared: Compared) -> None:
    assert re.search("do not compute the same.*is missing there", compared.ended)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_the_interval_holds_the_median_of_what_was_seen(values: list[float]) -> None:
    low, high = median_interval(values)
    assert min(values) <= low <= median(values) <= high <= max(values)
