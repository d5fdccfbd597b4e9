"""Weak memory: the right ring passes all seeds, and each planted fault is caught by most of them.

How many of 48 seeds see each fault: .venv/bin/python -m tests.test_transport.test_emulated_weak
"""

from __future__ import annotations

import pytest
import torch

from dualpipe_ref.comm.kernels import waiting
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated
from tests.test_transport import ring
from tests.test_transport.mutants import mutated

SEEDS = 48
# Of so many seeds, one for each kind of schedule, at least LEAST see a fault.
WITHIN, LEAST = 8, 6
NEAR, FAR = Topology(1, 2), Topology(2, 1)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_right_ring_passes_every_seed(seed):
    for topology, kernel in ((NEAR, ring.near), (FAR, ring.far)):
        emulated = Emulated(topology, seed=seed, weak=True)
        sent, received, _ = ring.run(emulated, kernel)
        assert torch.equal(sent, received)
        assert emulated.races.found == {}


def fails(kernel, topology, seed, weak=True):
    """Whether the numbers that arrive are wrong; what the emulator says of it beside."""
    emulated = Emulated(topology, seed=seed, weak=weak)
    try:
        sent, received, _ = ring.run(emulated, kernel)
    except Deadlock:
        return True, {}
    return not torch.equal(sent, received), emulated.races.found


RELEASE = "ptx.st_release_sys(there + TAIL_AT, number + 1)"
SYNC = "        cuda.syncwarp()\n        if lane() == 0:\n            ptx.st_release_sys"
PUT = "        cuda.syncwarp()\n        link.put"
ADD = "link.add(plan, 0, plan.receiver, 0, TAIL_AT, 1)"
BEFORE = "copy(there + RING + slot, plan.input + SIZE * number, SIZE)\n"
EARLY = f"if lane() == 0:\n            {RELEASE}\n        {BEFORE}"

relaxed_wait = mutated(waiting, "ptx.ld_acquire_sys(address)", "ptx.ld_relaxed_sys(address)").wait
block_wait = mutated(waiting, "ptx.ld_acquire_sys(address)", "ptx.ld_acquire_cta(address)").wait
# A vote brings the lanes together, and orders no memory.
vote_only = mutated(waiting, "    cuda.syncwarp()  # a vote orders no memory\n", "").all_lanes


def near(old, new, **names):
    return mutated(ring, old, new, **names).near


def far(old, new, **names):
    return mutated(ring, old, new, **names).far


FAULTS = {
    "release became relaxed": (near(RELEASE, RELEASE.replace("release", "relaxed")), NEAR),
    "acquire became relaxed": (near(RELEASE, RELEASE, wait=relaxed_wait), NEAR),
    "release of the system became one of the block": (
        near(RELEASE, RELEASE.replace("release_sys", "release_cta")),
        NEAR,
    ),
    "acquire of the system became one of the block": (
        near(RELEASE, RELEASE, wait=block_wait),
        NEAR,
    ),
    "no syncwarp before the release": (
        near(SYNC, SYNC.replace("        cuda.syncwarp()\n", "")),
        NEAR,
    ),
    "no syncwarp after the acquire": (near(RELEASE, RELEASE, all_lanes=vote_only), NEAR),
    "tail before data": (near(BEFORE, EARLY), NEAR),
    "far: no syncwarp before the put": (far(PUT, "        link.put"), FAR),
    "far: tail in another queue pair": (far(ADD, ADD.replace("0, TAIL_AT", "2, TAIL_AT")), FAR),
    "far: acquire became relaxed": (far(RELEASE, RELEASE, wait=relaxed_wait), FAR),
    "far: no syncwarp after the acquire": (far(RELEASE, RELEASE, all_lanes=vote_only), FAR),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault):
    kernel, topology = FAULTS[fault]
    wrong = [seed for seed in range(WITHIN) if fails(kernel, topology, seed)[0]]
    assert len(wrong) >= LEAST, f"{fault}: only seeds {wrong} of {WITHIN} saw it"


# What memory order alone is at fault for is invisible where memory is sequentially consistent: so the weak one is needed.
ORDER_ONLY = [name for name in FAULTS if "became" in name and "far" not in name]


@pytest.mark.parametrize("fault", ORDER_ONLY)
def test_without_weak_memory_faults_of_order_are_not_seen(fault):
    kernel, topology = FAULTS[fault]
    assert not any(fails(kernel, topology, seed, weak=False)[0] for seed in range(8))


@pytest.mark.parametrize("fault", [name for name in FAULTS if "tail" not in name])
def test_a_race_is_named_by_its_two_lines(fault):
    kernel, topology = FAULTS[fault]
    found = {}
    for seed in range(8):
        found.update(fails(kernel, topology, seed)[1])
    assert any(
        ("copy" in load and "copy" in store) or "put" in load + store for load, store in found
    )
    assert any("heap of rank" in text for text in found.values())


CREDIT = "ptx.st_relaxed_sys(ptx.ld_i64(plan.heaps) + HEAD_AT, number + 1)"
UNREAD = "        cuda.syncwarp()\n        if lane() == 0:\n            if far:"


@pytest.mark.parametrize("seed", range(8))
def test_by_the_letter_of_ptx_a_credit_is_a_release(seed):
    def overwrites(kernel, topology):
        emulated = Emulated(topology, seed=seed, weak=True, reads=True)
        ring.run(emulated, kernel)
        return [text for text in emulated.races.found.values() if "may overwrite" in text]

    relaxed = overwrites(ring.near, NEAR)
    assert any("in copy may overwrite what " in text for text in relaxed)
    assert not overwrites(near(CREDIT, CREDIT.replace("relaxed", "release")), NEAR)
    assert not overwrites(ring.far, FAR)
    # Lanes that still read when their lane 0 gives the slot back.
    assert overwrites(far(UNREAD, UNREAD.replace("        cuda.syncwarp()\n", "")), FAR)


NO_COPY_OUT = "copy(plan.output + SIZE * number, here + RING + slot, SIZE)"


@pytest.mark.parametrize("seed", range(8))
def test_what_a_rank_has_not_acquired_its_host_cannot_rely_on(seed):
    """The receiver leaves the messages in its heap, for its host to read."""

    def missed(kernel):
        emulated = Emulated(NEAR, seed=seed, weak=True)
        ring.run(emulated, kernel, messages=ring.SLOTS)
        return list(emulated.races.found.values())

    assert not missed(near(NO_COPY_OUT, "pass"))
    for found in (missed(ring.only_sends), missed(near(NO_COPY_OUT, "pass", wait=relaxed_wait))):
        assert any("the host of rank 1 may miss what moving.py" in one for one in found)


if __name__ == "__main__":
    for name, (mutant, where) in FAULTS.items():
        got = [fails(mutant, where, seed) for seed in range(SEEDS)]
        print(
            f"{name}: {sum(wrong for wrong, _ in got)} of {SEEDS} wrong, "
            f"first {[wrong for wrong, _ in got].index(True) if any(w for w, _ in got) else None}; "
            f"{sum(bool(races) for _, races in got)} with races"
        )
