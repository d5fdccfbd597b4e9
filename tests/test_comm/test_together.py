"""Ranks as threads of one process: their calls meet, errors reach all of them, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.together import Meeting, MeetingError, run_ranks
from dualpipe_ref.comm.topology import Topology

from .doubles import OracleExchange

TOPOLOGY, EXPERTS = Topology(2, 2), 4
TOKENS, ROUTING = torch.ones(1, 4), Routing(torch.tensor([[3]]), torch.ones(1, 1))


def met(
    exchange: OracleExchange, patience: float = 120, *, background: bool = False
) -> tuple[Meeting, list[Buffer]]:
    meeting = Meeting(exchange, patience=patience)
    seats = [meeting.of(rank, background=background) for rank in range(TOPOLOGY.ranks)]
    return meeting, [Buffer(TOPOLOGY, EXPERTS, seat) for seat in seats]


def errors_of_all(function: Any, meetings: Sequence[Meeting] = ()) -> list[BaseException | None]:
    """What each rank's function raises."""

    def caught(rank: int) -> BaseException | None:
        try:
            function(rank)
        except Exception as error:
            return error
        return None

    return run_ranks(caught, TOPOLOGY.ranks, meetings=meetings)


def test_the_error_of_the_rank_that_failed_first_is_raised_with_its_number() -> None:
    first = threading.Event()

    class Heard:
        """A meeting that is told when an error was noted."""

        def end(self, reason: str) -> None:
            first.set()

    def fails(rank: int) -> None:
        if rank == 2:
            raise ValueError("two")
        if rank == 0:
            assert first.wait(60)
            raise KeyError("zero")

    with pytest.raises(ValueError, match="two") as caught:
        run_ranks(fails, 3, meetings=[Heard()])
    assert caught.value.__notes__ == ["This happened on rank 2."]


def test_a_rank_that_does_not_come_is_named_and_ends_the_meeting() -> None:
    _, ends = met(OracleExchange(TOPOLOGY), patience=2)

    def without_two(rank: int) -> None:
        if rank != 2:
            ends[rank].dispatch(TOKENS, ROUTING)

    errors = errors_of_all(without_two)
    for rank in (0, 1, 3):
        assert isinstance(errors[rank], MeetingError)
        assert str(errors[rank]) == "3 of 4 ranks came to dispatch within 2 s; not rank 2"
    with pytest.raises(MeetingError, match="not rank 2"):
        ends[2].dispatch(TOKENS, ROUTING)


def test_a_rank_that_fails_elsewhere_sets_the_others_free() -> None:
    meeting, ends = met(OracleExchange(TOPOLOGY), patience=600)
    seen: list[BaseException] = []

    def fails(rank: int) -> None:
        if rank == 1:
            raise ArithmeticError("elsewhere")
        try:
            ends[rank].dispatch(TOKENS, ROUTING)
        except MeetingError as error:
            seen.append(error)
            raise

    with pytest.raises(ArithmeticError, match="elsewhere"):
        run_ranks(fails, 4, meetings=[meeting])
    assert [str(one) for one in seen] == ["rank 1 failed: ArithmeticError('elsewhere')"] * 3


def test_ranks_that_come_with_different_calls_are_told_so() -> None:
    _, ends = met(OracleExchange(TOPOLOGY))

    def mixed(rank: int) -> None:
        _, handle = ends[rank].dispatch(TOKENS, ROUTING)
        if rank == 3:
            ends[rank].dispatch(TOKENS, ROUTING)
        ends[rank].combine(torch.ones(handle.received, 4), handle)

    for error in errors_of_all(mixed):
        assert isinstance(error, InputError)
        assert "combine on rank 0, 1, 2; dispatch on rank 3" in str(error)


def test_a_rank_has_one_call_at_a_time() -> None:
    """Two Buffers of a rank in two threads would take each other's results."""
    _, ends = met(OracleExchange(TOPOLOGY), background=True)
    started = [ends[0].start_dispatch(TOKENS, ROUTING)]
    again = Buffer(TOPOLOGY, EXPERTS, ends[0]._end.seat.meeting.of(0))  # type: ignore[attr-defined]
    while not ends[0]._end.seat.meeting._round.came:  # type: ignore[attr-defined]
        time.sleep(0.01)
    with pytest.raises(MeetingError, match="rank 0 came twice, to dispatch and to dispatch"):
        again.dispatch(TOKENS, ROUTING)
    with pytest.raises(MeetingError, match="came twice"):
        started[0].wait()


class Failing(OracleExchange):
    """Its first combine fails, as a launch does that timed out."""

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[Any],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        if self.launches == 1:
            self.launches += 1
            raise RuntimeError("forwarder on rank 5 waited")
        return super().combine(outputs, handles, weights)


def test_an_error_of_the_exchange_reaches_all_ranks_and_the_next_call_works() -> None:
    _, ends = met(Failing(TOPOLOGY))

    def twice(rank: int) -> Tensor:
        received, handle = ends[rank].dispatch(TOKENS, ROUTING)
        with pytest.raises(RuntimeError, match="forwarder on rank 5 waited"):
            ends[rank].combine(received.tokens, handle)
        return ends[rank].combine(received.tokens, handle)

    for sums in run_ranks(twice, 4):
        assert torch.equal(sums, TOKENS)


class Gated(OracleExchange):
    """Its dispatch waits until it is let go."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        self.gate = threading.Event()

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
    ) -> list[tuple[Received, Any]]:
        assert self.gate.wait(120)
        return super().dispatch(outgoing, experts, handles)


def test_in_the_background_the_caller_goes_on() -> None:
    exchange = Gated(TOPOLOGY)
    _, ends = met(exchange, background=True)
    # All four are on their way, from one thread, before any of them can end.
    started = [end.start_dispatch(TOKENS, ROUTING) for end in ends]
    assert exchange.launches == 0
    exchange.gate.set()
    received = [one.wait()[0] for one in started]
    assert [len(one.tokens) for one in received] == [0, 0, 0, 4]


def test_seats_are_of_the_ranks_here() -> None:
    with pytest.raises(InputError, match="got 4; nearest legal: 0 to 3"):
        Meeting(OracleExchange(TOPOLOGY)).of(4)
    with pytest.raises(InputError, match="4 ranks"):
        Buffer(TOPOLOGY, EXPERTS, OracleExchange(TOPOLOGY))
    with pytest.raises(InputError, match="the topology is that of the exchange"):
        Buffer(Topology(1, 4), EXPERTS, Meeting(OracleExchange(TOPOLOGY)).of(0))
    alone = Buffer(Topology(1, 1), EXPERTS, OracleExchange(Topology(1, 1)))
    received, _ = alone.dispatch(TOKENS, ROUTING)
    assert torch.equal(received.tokens, TOKENS)
