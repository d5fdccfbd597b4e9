"""What the tests of direct slots reach: every line of the kernels, waits that give up too, and a wait of each role."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.kernels import adding, direct_combine, direct_dispatch, direct_plan, notify
from dualpipe_ref.comm.kernels.direct_plan import ADDER, FORWARDER, HOME, RECEIVER
from dualpipe_ref.comm.kernels.waiting import COUNT, TAIL
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.emulated.coverage import Stall
from tests.test_transport.test_direct import direct_of
from tests.test_transport.traffic import combined, dispatched, drawn, made

MODULES = [one.__name__ for one in (adding, direct_combine, direct_dispatch, direct_plan, notify)]


class Reached:
    """What was reached by several transports: the lines that all of them missed, and how often waits napped."""

    def __init__(self) -> None:
        self.ran: dict[str, set[int]] = {}
        self.missed: dict[str, set[int]] = {}
        self.stalls: Counter[Stall] = Counter()

    def take(self, transport: Emulated) -> None:
        coverage = transport.coverage
        self.stalls.update(coverage.stalls)
        for name, lines in coverage.lines.items():
            self.ran.setdefault(name, set()).update(lines)
        for name, lines in coverage.missed().items():
            self.missed.setdefault(name, set()).update(lines)

    def never(self) -> dict[str, list[int]]:
        never = {name: sorted(lines - self.ran[name]) for name, lines in self.missed.items()}
        return {
            name: lines
            for name, lines in never.items()
            if lines and name.rpartition(".")[0] in MODULES
        }


def good_runs(reached: Reached) -> None:
    for seed, shape in enumerate([(2, 2), (1, 3), (3, 1)]):
        traffic = drawn(*shape, 9, seed, hidden=(24, 160)[seed % 2])
        transport = Emulated(traffic.topology, seed, trace=True)
        direct = direct_of(traffic, transport)
        combined(direct, traffic, dispatched(direct, traffic), made(traffic, torch.bfloat16))
        reached.take(transport)


def bad_runs(reached: Reached) -> None:
    """A rank that is missing in each launch in turn."""
    traffic = drawn(2, 2, 9, seed=1, kind="even")
    back = made(traffic, torch.bfloat16)
    for absent in (1, 3):
        for launch in ("notify", "dispatch", "combine"):
            transport = Emulated(traffic.topology, trace=True, when_stuck="time out")
            direct = direct_of(traffic, transport)
            handles = None if launch == "notify" else dispatched(direct, traffic)
            transport.absent = frozenset([absent])
            with pytest.raises(CommTimeout):
                _ = (
                    combined(direct, traffic, handles, back)
                    if launch == "combine"
                    else dispatched(direct, traffic, handles)
                )
            reached.take(transport)


def test_every_line_runs_and_every_role_waits() -> None:
    reached = Reached()
    good_runs(reached)
    # A good run misses that waits give up: a line in each function that waits, and in those that end then.
    assert sum(map(len, reached.never().values())) == 11
    for role in (FORWARDER, RECEIVER, ADDER, HOME):
        assert reached.stalls[Stall(role, TAIL)] > 0
    for role in (notify.PASSING, notify.RECEIVING):
        assert reached.stalls[Stall(role, COUNT)] > 0
    bad_runs(reached)
    assert reached.never() == {}
