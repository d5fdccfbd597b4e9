"""A ring on the emulator: right under every kind of schedule, and repeatable."""

import pytest
import torch

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated
from tests.test_transport import ring


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("link", ["rdma", "copying"])
def test_a_ring_over_the_network_delivers_under_every_kind_of_schedule(seed, link):
    sent, received, errors = ring.run(Emulated(Topology(2, 1), seed=seed, link=link), ring.far)
    assert torch.equal(sent, received)
    assert not errors.any()


@pytest.mark.parametrize("seed", range(24))
def test_a_ring_over_nvlink_delivers_under_every_kind_of_schedule(seed):
    sent, received, _ = ring.run(Emulated(Topology(1, 2), seed=seed), ring.near)
    assert torch.equal(sent, received)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_seed_makes_the_same_run(seed):
    def steps():
        emulated = Emulated(Topology(2, 1), seed=seed)
        ring.run(emulated, ring.far)
        return emulated.switches, emulated.steps, emulated.nanoseconds

    assert steps() == steps()


def test_a_rank_that_does_not_launch_makes_a_record():
    emulated = Emulated(Topology(1, 2), absent=[1])
    _, received, errors = ring.run(emulated, ring.near)
    assert not received.any()
    written, role, channel, rank, peer, word, seen, own, expected = errors.tolist()[:9]
    assert (written, role, channel, rank, peer, word) == (1, ring.SENDER, 0, 0, 1, ring.HEAD)
    assert (seen, own, expected) == (0, 2, 1)
    assert emulated.nanoseconds > 10**10


def test_nobody_can_move_is_an_error_that_says_who_waits_for_whom():
    with pytest.raises(Deadlock) as error:
        ring.run(Emulated(Topology(1, 2)), ring.only_sends)
    text = str(error.value)
    assert (
        "role 1 of channel 0 on rank 0 waits for rank 1's head; sees 0, at least 1 expected" in text
    )
    assert "waiting.py" in text
    assert "ring.py" in text
