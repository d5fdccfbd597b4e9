"""Coverage tells which lines of kernels ran and which waits waited; a trace changes nothing else."""

from __future__ import annotations

import sys

import torch

from dualpipe_ref.comm.kernels.waiting import HEAD, TAIL
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated, Stall
from tests.test_transport import ring

FAR = Topology(2, 1)


def traced(messages, seeds=range(8)):
    """What some schedules of the ring over the network reach together."""
    coverage = None
    for seed in seeds:
        emulated = Emulated(FAR, seed=seed, trace=True)
        if coverage is not None:
            emulated.coverage = coverage
        sent, received, _ = ring.run(emulated, ring.far, messages=messages)
        assert torch.equal(sent, received)
        coverage = emulated.coverage
    assert coverage is not None
    return coverage


def test_a_long_enough_ring_reaches_every_line_of_its_roles_a_stall_of_each_and_a_wrap():
    coverage = traced(messages=6)
    missed = coverage.missed()
    # Two lines give up, which no good run does.
    assert len(missed.pop("tests.test_transport.ring.send_far")) == 1
    assert len(missed.pop("tests.test_transport.ring.receive")) == 2  # and the credit over NVLink
    assert not [name for name in missed if ".ring." in name]
    assert "dualpipe_ref.comm.kernels.waiting.give_up" in missed
    assert coverage.stalls[Stall(ring.SENDER, HEAD)] > 0
    assert coverage.stalls[Stall(ring.RECEIVER, TAIL)] > 0
    assert coverage.wraps[ring.SENDER] > 0
    assert set(coverage.waits) == set(coverage.stalls)


def test_a_short_run_is_seen_to_reach_less():
    coverage = traced(messages=ring.SLOTS)
    assert coverage.wraps[ring.SENDER] == 0
    assert coverage.stalls[Stall(ring.SENDER, HEAD)] == 0
    assert coverage.stalls[Stall(ring.RECEIVER, TAIL)] > 0


def test_a_kernel_that_is_cut_off_is_seen_to_miss_lines():
    emulated = Emulated(Topology(1, 2), trace=True, absent=[1])
    ring.run(emulated, ring.near)
    missed = emulated.coverage.missed()
    assert "tests.test_transport.ring.receive" in missed
    assert "dualpipe_ref.comm.kernels.waiting.give_up" not in missed


def test_a_trace_changes_no_step_and_leaves_nothing_behind():
    def steps(trace):
        emulated = Emulated(FAR, seed=3, trace=trace)
        ring.run(emulated, ring.far)
        return emulated.switches, emulated.steps, emulated.nanoseconds

    before = sys.gettrace()
    assert steps(True) == steps(False)
    assert sys.gettrace() is before
    assert Emulated(FAR).coverage.lines == {}
