"""What the tests of queues reach: every line of every role, a wait of each that had to wait, and each ring coming round."""

from __future__ import annotations

import linecache

from dualpipe_ref.comm.kernels import (
    queue_combine,
    queue_dispatch,
    queue_forward,
    queue_heads,
    queue_plan,
    queue_receive,
    queue_reduce,
    queue_roles,
)
from dualpipe_ref.comm.kernels.queue_roles import ROLES
from dualpipe_ref.comm.transport.emulated import Coverage, Emulated
from tests.test_transport.queue_cases import SMALL, both_phases, queues_of
from tests.test_transport.traffic import drawn

MODULES = (
    queue_combine,
    queue_dispatch,
    queue_forward,
    queue_heads,
    queue_plan,
    queue_receive,
    queue_reduce,
)
# Roles that wait for credit: each of them fills its ring.
SENDING = (
    queue_roles.SENDER,
    queue_roles.FORWARDER_ROOM,
    queue_roles.NVL_SENDER,
    queue_roles.REDUCING_CREDIT,
)
# What follows a wait that did not end; `test_queues_timeouts` comes there.
GIVING_UP = {"return", "return False", "return -1"}


def reached(tokens: int, seeds: range) -> Coverage:
    """What some schedules of both phases on two nodes reach together."""
    coverage = None
    for seed in seeds:
        traffic = drawn(2, 2, tokens, seed, hidden=8, kind="even")
        emulated = Emulated(traffic.topology, seed, trace=True)
        if coverage is not None:
            emulated.coverage = coverage
        both_phases(queues_of(traffic, emulated, sizes=SMALL), traffic)
        coverage = emulated.coverage
    assert coverage is not None
    return coverage


def test_every_role_runs_and_waits_and_every_ring_comes_round() -> None:
    coverage = reached(12, range(4))
    names = tuple(module.__name__ for module in MODULES)
    files = {module.__name__: module.__file__ for module in MODULES}
    for function, lines in coverage.missed().items():
        module = function.rpartition(".")[0]
        if module in names:
            texts = {linecache.getline(str(files[module]), line).strip() for line in lines}
            # The last is for votes of nobody, which no caller brings.
            assert texts <= GIVING_UP | {"return 0"}, function
    assert {stall.role for stall in coverage.stalls} >= set(range(len(ROLES)))
    assert all(coverage.wraps[role] for role in SENDING)


def test_runs_of_a_message_or_two_are_seen_to_reach_less() -> None:
    coverage = reached(1, range(4))
    assert not any(coverage.wraps[role] for role in SENDING)
    waited = {stall.role for stall in coverage.stalls}
    assert not waited >= set(range(len(ROLES)))
