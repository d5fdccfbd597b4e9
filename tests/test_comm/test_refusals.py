"""Input that does not fit, on one rank or between ranks: the same error on every rank, before anything moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm.agreement import Agreeing
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.checks import checked
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.together import run_ranks
from dualpipe_ref.comm.topology import Topology

from .cases import Case
from .doubles import OracleExchange, Threads
from .versions import VERSIONS, Version, buffers

RANKS, EXPERTS, BAD = 4, 8, 2
every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
Input = tuple[Tensor, Routing]


def good(hidden: int = 8, per_token: int = 2, dtype: torch.dtype = torch.float32) -> Input:
    experts = torch.arange(3 * per_token).view(3, per_token) % EXPERTS
    return torch.ones(3, hidden, dtype=dtype), Routing(experts, torch.ones(3, per_token))


def with_experts(*first: int) -> Input:
    tokens, routing = good()
    routing.experts[0] = torch.tensor(first)
    return tokens, routing


# What rank 2 gives, and what every rank must be told.
WRONG: dict[str, tuple[Input, str]] = {
    "an expert that there is not": (with_experts(0, 8), "from 0 to 7.*8 for token 0.*legal: 7"),
    "a negative expert": (with_experts(-3, 1), "from 0 to 7.*-3 for token 0.*legal: -1"),
    "an expert twice": (with_experts(5, 5), "each expert once.*expert 5 twice for token 0"),
    "experts in int32": (
        (good()[0], Routing(good()[1].experts.int(), good()[1].weights)),
        "in int64.*torch.int32",
    ),
    "tokens in int64": ((good()[0].long(), good()[1]), "tokens are floating point.*int64"),
    "fewer tokens than routings": ((good()[0][:2], good()[1]), r"tokens are \[T, H\].*\(2, 8\)"),
    "tokens in one dimension": ((good()[0][0], good()[1]), r"tokens are \[T, H\].*\(8,\)"),
    "fewer weights than experts": (
        (good()[0], Routing(good()[1].experts, good()[1].weights[:, :1])),
        r"\(3, 8\), \(3, 2\), \(3, 1\)",
    ),
    "another hidden size": (good(hidden=16), "hidden size|room"),
    "another K": (
        good(per_token=1),
        "one number of experts of a token; got 2 on rank 0, 1, 3; 1 on rank 2",
    ),
    "another type": (good(dtype=torch.bfloat16), "one type of tokens.*bfloat16 on rank 2"),
}


def case() -> Case:
    tokens, routing = good()
    return Case(Topology(2, 2), EXPERTS, [tokens] * RANKS, [routing] * RANKS)


def errors_of_all(ends: list[Buffer], call: Callable[[Buffer, int], Any]) -> list[str]:
    def refused(rank: int) -> str:
        with pytest.raises(InputError) as caught:
            call(ends[rank], rank)
        return str(caught.value)

    return run_ranks(refused, RANKS)


@every_version
@pytest.mark.parametrize("name", WRONG)
def test_every_rank_is_told_and_the_next_dispatch_works(version: Version, name: str) -> None:
    wrong, told = WRONG[name]
    ends, _ = buffers(version, case())

    def call(end: Buffer, rank: int) -> None:
        end.dispatch(*(wrong if rank == BAD else good()))

    for rank, error in enumerate(errors_of_all(ends, call)):
        assert_told(error, told)
        assert rank == BAD or "rank 2" in error or name == "tokens in one dimension", error
    received = run_ranks(lambda rank: ends[rank].dispatch(*good())[0], RANKS)
    assert sum(len(one.tokens) for one in received) > 0


def assert_told(error: str, told: str) -> None:
    assert re.search(told, error), f"{error!r} does not say {told!r}"


@every_version
def test_nothing_moved_before_a_refusal(version: Version) -> None:
    """The naive version says what is wrong in its counts, and then in one more message; kernels are not launched."""
    if version.name == "naive":
        threads = Threads(RANKS)
        movers = [threads.mover(rank) for rank in range(RANKS)]
        ends = [Buffer(Topology(2, 2), EXPERTS, mover) for mover in movers]
        errors_of_all(
            ends, lambda end, rank: end.dispatch(*(with_experts(9, 0) if rank == BAD else good()))
        )
        assert [mover.messages for mover in movers] == [2] * RANKS
        return
    ends, meetings = buffers(version, case())
    launched: list[Any] = []
    transport: Any = meetings[0].exchange.transport  # type: ignore[attr-defined]
    transport.launch = lambda *of, **more: launched.append(of)
    errors_of_all(
        ends, lambda end, rank: end.dispatch(*(with_experts(9, 0) if rank == BAD else good()))
    )
    assert not launched


@every_version
def test_a_handle_is_for_its_routing(version: Version) -> None:
    ends, meetings = buffers(version, case())

    def call(rank: int) -> str:
        tokens, routing = good()
        _, handle = ends[rank].dispatch(tokens, routing)
        other = routing._replace(experts=routing.experts.flip(0))
        with pytest.raises(InputError) as caught:
            ends[rank].dispatch(tokens, other, handle)
        return str(caught.value)

    for error in run_ranks(call, RANKS, meetings=meetings):
        assert_told(error, "another routing than its 3 to 8; nearest legal: no handle")


@every_version
def test_what_comes_back_must_be_what_was_received(version: Version) -> None:
    ends, meetings = buffers(version, case())

    def call(rank: int) -> None:
        received, handle = ends[rank].dispatch(*good())
        rows = len(received.tokens)
        with pytest.raises(InputError, match=f"got {rows + 1}; nearest legal: {rows}"):
            ends[rank].combine(torch.ones(rows + 1, 8), handle)
        with pytest.raises(InputError, match="hidden size"):
            ends[rank].combine(torch.ones(rows, 16), handle)
        with pytest.raises(InputError, match="two bytes or more"):
            ends[rank].combine(received.tokens.to(torch.float8_e4m3fn), handle)
        with pytest.raises(InputError, match="row of weights"):
            ends[rank].combine(received.tokens, handle, torch.ones(rows + 1, 2))

    run_ranks(call, RANKS, meetings=meetings)


@every_version
def test_types_of_outputs_that_differ_between_ranks(version: Version) -> None:
    ends, meetings = buffers(version, case())
    dispatched = run_ranks(lambda rank: ends[rank].dispatch(*good()), RANKS, meetings=meetings)

    def call(end: Buffer, rank: int) -> None:
        received, handle = dispatched[rank]
        end.combine(received.tokens.bfloat16() if rank == BAD else received.tokens, handle)

    for error in errors_of_all(ends, call):
        assert_told(error, "one type of outputs")


@pytest.mark.parametrize("version", VERSIONS[1:], ids=lambda version: version.name)
def test_weights_of_eight_bytes_are_not_for_kernels(version: Version) -> None:
    ends, _ = buffers(version, case())
    tokens, routing = good()
    double = routing._replace(weights=routing.weights.double())
    for error in errors_of_all(ends, lambda end, _: end.dispatch(tokens, double)):
        assert_told(error, "float32.*float64")


def test_agreement_costs_no_message_after_the_first_combine() -> None:
    threads = Threads(RANKS)
    movers = [threads.mover(rank) for rank in range(RANKS)]
    ends = [Buffer(Topology(2, 2), EXPERTS, mover) for mover in movers]

    def counted(rank: int) -> list[int]:
        end, mover, seen = ends[rank], movers[rank], []
        for _ in range(2):
            before = mover.messages
            received, handle = end.dispatch(*good())
            after = mover.messages
            end.combine(received.tokens, handle)
            seen += [after - before, mover.messages - after]
        before = mover.messages
        end.dispatch(*good(), handle)
        return [*seen, mover.messages - before]

    # Counts and three tensors; types once, and the rows; then the rows alone. A handle saves the counts.
    assert run_ranks(counted, RANKS) == [[4, 2, 4, 1, 3]] * RANKS


def test_processes_with_kernels_judge_their_input_before_one_waits_for_another() -> None:
    """One rank a process, as over CUDA IPC; here a thread each, and an exchange that would wait for the others."""
    threads, topology, launched = Threads(RANKS), Topology(2, 2), []

    class OneRank(OracleExchange):
        def dispatch(
            self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
        ) -> Any:
            launched.append(self.ranks[0])
            raise RuntimeError("launched")

    def end(rank: int) -> Buffer:
        exchange = OneRank(topology)
        exchange.ranks = range(rank, rank + 1)

        def check(outgoing: Sequence[Outgoing], experts: int) -> None:
            checked(outgoing[0], topology, experts)

        return Buffer(
            topology, EXPERTS, Agreeing(exchange, threads.mover(rank), check, lambda: None)
        )

    ends = [end(rank) for rank in range(RANKS)]
    for name in ("an expert twice", "another hidden size", "another type"):
        wrong, told = WRONG[name]
        for error in errors_of_all(
            ends, lambda end, rank, wrong=wrong: end.dispatch(*(wrong if rank == BAD else good()))
        ):
            assert_told(error, told)
    assert not launched
    with pytest.raises(RuntimeError, match="launched"):
        run_ranks(lambda rank: ends[rank].dispatch(*good()), RANKS)
    assert sorted(launched) == list(range(RANKS))
