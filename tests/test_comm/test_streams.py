"""The order between streams of a GPU, without one: streams that only note what they come after."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dualpipe_ref.comm import started
from dualpipe_ref.comm.started import Beside, arrived, mark
from dualpipe_ref.comm.together import Meeting, _Call, run_ranks
from dualpipe_ref.comm.topology import Topology

from .doubles import OracleExchange

GPU = torch.device("cuda", 0)


class Stream:
    """`knows` all work that what it is given next comes after."""

    def __init__(self, device: Any = None) -> None:
        self.knows: set[str] = set()

    def do(self, what: str) -> None:
        self.knows.add(what)

    def record_event(self) -> frozenset[str]:
        return frozenset(self.knows)

    def wait_event(self, event: frozenset[str]) -> None:
        self.knows |= event


class Streams:
    """In place of `torch.cuda`: every thread has its current stream, at first a default one of its own."""

    Stream = Stream

    def __init__(self) -> None:
        self._current = threading.local()

    def current_stream(self, device: Any = None) -> Stream:
        if not hasattr(self._current, "stream"):
            self._current.stream = Stream()
        stream: Stream = self._current.stream
        return stream

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before = self.current_stream()
        self._current.stream = stream
        try:
            yield
        finally:
            self._current.stream = before

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        yield


class OnGpu:
    """As much of a tensor as `arrived` needs."""

    device = GPU

    def __init__(self) -> None:
        self.used_on: list[Stream] = []

    def record_stream(self, stream: Stream) -> None:
        self.used_on.append(stream)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    made = Streams()
    monkeypatch.setattr(started.torch, "cuda", made)
    return made


def test_communication_comes_after_what_was_computed_and_before_what_is(streams: Streams) -> None:
    beside, result = Beside(), OnGpu()

    def begin() -> OnGpu:
        communicating = streams.current_stream()
        assert "tokens" in communicating.knows
        assert "later" not in communicating.knows
        communicating.do("dispatch")
        return result

    caller = streams.current_stream()
    caller.do("tokens")
    work = beside.around(begin, GPU)
    caller.do("later")  # what is computed meanwhile
    with ThreadPoolExecutor(1) as thread:
        got, event = thread.submit(work).result()
    assert "dispatch" not in caller.knows
    arrived(event, [got])
    assert "dispatch" in caller.knows
    assert result.used_on == [caller]


def test_a_previous_event_is_all_that_is_waited_for(streams: Streams) -> None:
    caller = streams.current_stream()
    caller.do("tokens")
    ready = caller.record_event()
    caller.do("something long")
    seen: set[str] = set()
    Beside().around(lambda: seen.update(streams.current_stream().knows), GPU, ready)()  # type: ignore[arg-type]
    assert seen == {"tokens"}


class Noting(OracleExchange):
    """Notes what the stream knows on which it runs, and works on it."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(Topology(1, 3))
        self.streams, self.knew = streams, set[str]()

    def combine(
        self, outputs: Sequence[Any], handles: Sequence[Any], weights: Any = None
    ) -> list[Any]:
        self.knew = set(self.streams.current_stream().knows)
        self.streams.current_stream().do("sums")
        return [None] * len(outputs)


def test_what_ranks_bring_to_a_meeting_is_there_and_they_get_what_is_done(streams: Streams) -> None:
    exchange = Noting(streams)
    meeting = Meeting(exchange)

    def come(rank: int) -> bool:
        mine = streams.current_stream()
        mine.do(f"outputs of {rank}")
        meeting.call(rank, _Call("combine", (None, None, None), GPU, mark(GPU)))
        return "sums" in mine.knows

    assert run_ranks(come, 3) == [True] * 3
    assert exchange.knew == {"outputs of 0", "outputs of 1", "outputs of 2"}


def test_a_meeting_without_events_would_be_seen(streams: Streams) -> None:
    """The planted fault: the same without the events that ranks bring."""
    exchange = Noting(streams)
    meeting = Meeting(exchange)

    def come(rank: int) -> None:
        streams.current_stream().do(f"outputs of {rank}")
        meeting.call(rank, _Call("combine", (None, None, None), GPU, None))

    run_ranks(come, 3)
    assert len(exchange.knew) == 1
