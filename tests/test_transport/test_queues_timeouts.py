"""A rank that does not take part: the others give up, and one sentence says who waited for whom."""

from __future__ import annotations

import re

import pytest
import torch

from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.kernels.queue_roles import ROLES
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.transport.emulated import Emulated
from tests.test_transport.queue_cases import queues_of
from tests.test_transport.traffic import Traffic, combined, dispatched, drawn, made

SENTENCE = re.compile(
    r"(?P<role>(dispatch|combine) [a-z ]+) of channel 0 on rank \d waited 2\.0 s for [a-zA-Z ]+ of rank \d: "
    r"(head was \d+, at least \d+ expected; tail \d+|tail was \d+, at least \d+ expected; head \d+"
    r"|count was \d+, at least \d+ expected)"
)


@pytest.fixture(params=range(4))
def case(request: pytest.FixtureRequest) -> tuple[Traffic, Queues, Emulated]:
    """Queues on two nodes, all of whose ranks have tokens for all nodes."""
    traffic = drawn(2, 2, 12, seed=7, hidden=8, kind="even")
    transport = Emulated(traffic.topology, request.param)
    return traffic, queues_of(traffic, transport, seconds=2.0), transport


def said(error: CommTimeout, absent: int) -> None:
    """The sentence has all its parts. Who gives up first may wait for the absent rank, or for one that waits for it."""
    found = SENTENCE.fullmatch(str(error))
    assert found, str(error)
    assert found["role"] == error.role
    assert error.role in {role.name for role in ROLES}
    assert error.rank != absent
    assert error.seen < error.expected
    assert error.seconds == 2.0


@pytest.mark.parametrize("absent", [0, 3])
def test_in_dispatch(case: tuple[Traffic, Queues, Emulated], absent: int) -> None:
    traffic, queues, transport = case
    handles = dispatched(queues, traffic)
    transport.absent = frozenset([absent])
    with pytest.raises(CommTimeout) as caught:
        queues.dispatch(traffic.outgoing, traffic.experts, handles)
    said(caught.value, absent)


@pytest.mark.parametrize("absent", [0, 3])
def test_in_combine(case: tuple[Traffic, Queues, Emulated], absent: int) -> None:
    traffic, queues, transport = case
    handles = dispatched(queues, traffic)
    back = made(traffic, torch.bfloat16)
    launch = transport.launch

    def without(kernel, *rest, **more):
        transport.absent = frozenset([absent] if kernel.__name__ == "combine" else [])
        launch(kernel, *rest, **more)

    transport.launch = without  # type: ignore[method-assign]
    with pytest.raises(CommTimeout) as caught:
        queues.combine(back.rows, handles, back.weights)
    said(caught.value, absent)


def test_afterwards_the_same_queues_work(case: tuple[Traffic, Queues, Emulated]) -> None:
    traffic, queues, transport = case
    handles = dispatched(queues, traffic)
    transport.absent = frozenset([1])
    with pytest.raises(CommTimeout):
        queues.dispatch(traffic.outgoing, traffic.experts, handles)
    transport.absent = frozenset()
    combined(queues, traffic, dispatched(queues, traffic), made(traffic, torch.bfloat16))


def test_in_notify(case: tuple[Traffic, Queues, Emulated]) -> None:
    traffic, queues, transport = case
    transport.absent = frozenset([2])
    with pytest.raises(CommTimeout, match=r"counts of rank 2"):
        queues.dispatch(traffic.outgoing, traffic.experts)
