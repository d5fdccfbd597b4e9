"""A whole step over kernels, its ranks threads of this process, leaves what the unparallel CPU run leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dualpipe_ref.bench.whole_step import (
    Case,
    Off,
    allowed,
    distance,
    exchange_on,
    is_near,
    off,
    step_of,
    stepped,
    unparallel,
)
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.on_emulator import one_thread
from dualpipe_ref.plot.trace import trace_events
from dualpipe_ref.runtime.failure import StepError
from dualpipe_ref.runtime.one_process import OneProcess
from dualpipe_ref.schedule import InputError
from tests.test_runtime import faults

ALONE, TWO = Topology(1, 1), Topology(2, 1)


@pytest.fixture(autouse=True)
def one_thread_a_rank() -> Iterator[None]:
    with one_thread():
        yield


def made(case: Case, **more: Any) -> OneProcess:
    return step_of(case, lambda: exchange_on(case, Emulated(case.topology), 1), **more)


@pytest.mark.parametrize("kind", ["dualpipe", "dualpipev", "1f1b"])
def test_every_bit_where_no_tokens_meet(kind: str) -> None:
    """One rank has all experts of a stage: sums are then made in the order of the unparallel run."""
    case = Case(kind, 2, ALONE)
    assert off(stepped(case, made(case)), unparallel(case, torch.float32)) == Off(0, 0, 0)


@pytest.mark.parametrize(
    "case",
    [
        Case("dualpipe", 2, TWO),
        Case("dualpipev", 2, TWO, "queues"),
        Case("dualpipe", 2, TWO, dtype=torch.bfloat16),
        pytest.param(Case("dualpipe", 4, Topology(2, 2)), marks=pytest.mark.slow),
        pytest.param(Case("dualpipev", 4, TWO, "queues", torch.bfloat16), marks=pytest.mark.slow),
    ],
    ids=lambda case: f"{case.kind} {case.ranks} {case.version} {case.dtype}",
)
def test_a_step_is_as_near_as_rounding_allows(case: Case) -> None:
    found = distance(case, stepped(case, made(case)))
    assert is_near(found, allowed(case)), f"{found}, allowed {allowed(case)}"


def test_a_second_step_leaves_the_same_and_both_are_recorded() -> None:
    case = Case("dualpipe", 2, ALONE)
    step = made(case)
    first = stepped(case, step)
    for pipeline in step.pipelines:
        for stage in pipeline.stages:
            stage.zero_grad(set_to_none=True)
    assert off(stepped(case, step), first) == Off(0, 0, 0)
    timeline = step.recorded().timeline(step.schedule)
    ops = [event for event in trace_events(timeline)["traceEvents"] if event["ph"] == "X"]
    assert len(ops) == sum(map(len, step.schedule.ops))


@pytest.mark.parametrize(
    ("fault", "topology"),
    [("message", ALONE), ("weights", ALONE), ("replicas", ALONE), ("shared", TWO)],
)
def test_a_fault_is_seen(fault: str, topology: Topology) -> None:
    case = Case("dualpipe", 2, topology)
    step = made(case)
    for pipeline in step.pipelines:
        faults.plant(fault, pipeline)
    if fault in ("replicas", "shared"):
        with pytest.raises(RuntimeError, match="have different gradients"):
            stepped(case, step)
    else:
        assert not is_near(distance(case, stepped(case, step)), allowed(case))


def test_a_rank_that_fails_ends_all_and_is_named() -> None:
    case = Case("dualpipe", 2, TWO)
    step = made(case)
    failing = step.pipelines[3].stages[0]

    def fails(*_: Any) -> Any:
        raise RuntimeError("no such kernel")

    failing.layers[0].attention = fails
    with pytest.raises(StepError, match=r"rank 1 at F0\.0 .*no such kernel") as caught:
        step.step(case.feeds())
    assert "It is rank 1 of those that share the experts." in caught.value.__notes__


@pytest.mark.parametrize(("kind", "missing"), [("1f1b", 0), ("dualpipe", 3)])
def test_where_a_rank_does_not_come_one_says_for_whom_it_waited(kind: str, missing: int) -> None:
    case = Case(kind, 2, TWO)
    step, feeds = made(case, patience=0.3), case.feeds()

    def run(number: int) -> None:
        if number != missing:
            step.pipelines[number].step(*feeds[number % 2])

    with pytest.raises(StepError, match=r"rank \d at .*(not rank \d|came from rank \d)"):
        step.on_all(run)


def test_a_message_that_nobody_takes_is_named() -> None:
    case = Case("1f1b", 2, ALONE)
    step = made(case)
    issue, finish = step.pipelines[0].wires.issue, step.pipelines[0].wires.finish

    def twice(messages: Any, give: Any) -> None:
        issue(messages, give)
        if any(one.source == 0 and one.microbatch == 3 for one in messages):
            step.post.put(0, 1, torch.zeros(1, case.tokens, case.hidden))

    def finishes() -> None:
        step.post.patience = 0.1  # by now nobody waits for anything else
        finish()

    step.pipelines[0].wires.issue = twice  # type: ignore[method-assign]
    step.pipelines[0].wires.finish = finishes  # type: ignore[method-assign]
    with pytest.raises(StepError, match=r"rank 0 at the end of the step.*1 for rank 1"):
        step.step(case.feeds())


def test_each_expert_rank_has_micro_batches_of_its_own() -> None:
    case = Case("1f1b", 2, TWO)
    with pytest.raises(InputError, match="1 feeds; nearest legal: 2"):
        made(case).step(case.feeds()[:1])
