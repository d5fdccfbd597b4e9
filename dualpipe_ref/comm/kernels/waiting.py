"""Waits that end: on time, because another role gave up, or with a record of who waited for whom."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx

# Which word is awaited. A waiter for credit knows its own tail, a waiter for messages its own head.
HEAD, TAIL, COUNT = 0, 1, 2
# A record of int64 words: is it written, then `Who` and the four numbers. The first that gives up writes it.
RECORD_WORDS = 16
NAP_NS = 64


class Who(NamedTuple):
    """Who waits for whom, for the record: `role` is a number of the version's table of roles, `word` HEAD, TAIL or COUNT."""

    role: int
    channel: int
    rank: int
    peer: int
    word: int


@device
def has_stopped(plan):
    """Whether some role of this launch gave up."""
    return ptx.ld_relaxed_sys(plan.errors) != 0


@device
def give_up(plan, who, seen, own, expected):
    """Write the record, unless another role was first. From now on no wait of this launch lasts."""
    if ptx.atom_cas_sys(plan.errors, 0, 1) == 0:
        ptx.st_relaxed_sys(plan.errors + 8, who.role)
        ptx.st_relaxed_sys(plan.errors + 16, who.channel)
        ptx.st_relaxed_sys(plan.errors + 24, who.rank)
        ptx.st_relaxed_sys(plan.errors + 32, who.peer)
        ptx.st_relaxed_sys(plan.errors + 40, who.word)
        ptx.st_relaxed_sys(plan.errors + 48, seen)
        ptx.st_relaxed_sys(plan.errors + 56, own)
        ptx.st_relaxed_sys(plan.errors + 64, expected)


@device
def wait(plan, address, least, own, who):
    """Whether the word at `address` came to `least` or more; acquires what its writer released. One thread.

    `own` is the waiter's other counter, for the record. `plan` has `timeout` in nanoseconds and `errors`, the record's address.
    """
    began = ptx.globaltimer()
    seen = ptx.ld_acquire_sys(address)
    while seen < least:
        if has_stopped(plan):
            return False
        if ptx.globaltimer() - began > plan.timeout:
            give_up(plan, who, seen, own, least)
            return False
        cuda.nanosleep(NAP_NS)
        seen = ptx.ld_acquire_sys(address)
    return True


@device
def wait_in_block(plan, address, least, own, who):
    """The same for a word that roles of one block share."""
    began = ptx.globaltimer()
    seen = ptx.ld_acquire_cta(address)
    while seen < least:
        if has_stopped(plan):
            return False
        if ptx.globaltimer() - began > plan.timeout:
            give_up(plan, who, seen, own, least)
            return False
        cuda.nanosleep(NAP_NS)
        seen = ptx.ld_acquire_cta(address)
    return True


@device
def all_lanes(went_well):
    """Whether every lane's wait went well. What one lane acquired, all lanes of the warp see from here on."""
    return cuda.all_sync(FULL, went_well)
