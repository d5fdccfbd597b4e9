"""What a step and a pair of chunks ask of a GPU's streams and events, above ones that write it down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dualpipe_ref.bench.chunk_pair import Marks
from dualpipe_ref.bench.whole_step import Case, exchange_on, step_of
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated

GPU = torch.device("cuda", 0)


class Fake:
    """Stands for torch.cuda; `log` has what streams were asked, and events count the time in ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.now = 0.0
        fake = self

        class Stream:
            def __init__(self, name: Any) -> None:
                self.name = name

            def wait_stream(self, other: Any) -> None:
                fake.log.append((self.name, "waits for", other.name))

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self, stream: Any) -> None:
                fake.log.append((stream.name, "records"))
                self.at = fake.now

            def synchronize(self) -> None:
                fake.log.append(("host", "waits for an event"))

            def elapsed_time(self, other: Any) -> float:
                return float(other.at - self.at)

        @contextmanager
        def on(stream: Any) -> Any:
            fake.log.append((stream.name, "is current"))
            yield

        @contextmanager
        def device(_: Any) -> Any:
            yield

        self.stream = Stream
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream("caller"))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _: self.log.append(("all end",)))
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", on)
        monkeypatch.setattr(torch.cuda, "device", device)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(monkeypatch)


def test_ranks_begin_after_the_caller_and_the_caller_goes_on_after_all(fake: Fake) -> None:
    case = Case("1f1b", 2, Topology(1, 1))
    step = step_of(case, lambda: exchange_on(case, Emulated(case.topology), 1))
    step.device, step._streams = GPU, [fake.stream(0), fake.stream(1)]
    step.on_all(lambda number: fake.log.append((number, "runs")))
    first, middle, last = fake.log[:2], fake.log[2:-2], fake.log[-2:]
    assert first == [(0, "waits for", "caller"), (1, "waits for", "caller")]
    assert last == [("caller", "waits for", 0), ("caller", "waits for", 1)]
    for number in (0, 1):
        mine = [one for one in middle if one[0] == number]
        assert mine == [(number, "is current"), (number, "runs")]


def test_moments_count_from_where_nothing_ran(fake: Fake) -> None:
    marks = Marks(GPU)
    fake.log.clear()
    fake.now = 5.0
    marks.begin()
    fake.now = 12.0
    mark = marks.mark()
    assert marks.seconds(mark) == 0.007
    assert fake.log == [
        ("all end",),
        ("caller", "records"),
        ("caller", "records"),
        ("host", "waits for an event"),
    ]
