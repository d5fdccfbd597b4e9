"""Waits that end: on time, because another role gave up, or with a record of who waited for whom."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx

# Which word is awaited. A waiter for credit knows its own tail, a waiter for messages its own head.
HEAD, TAIL, COUNT = 0, 1, 2
# A record of int64 words: is it written, then `Who`, what was seen, the own counter, what was expected, and nanoseconds. The first that gives up writes it.
RECORD_WORDS = 16
NAP_NS = 64
GAVE_UP = -1


class Who(NamedTuple):
    """Who waits for whom, for the record: `role` is a number of the version's table of roles, `word` HEAD, TAIL or COUNT."""

    role: int
    channel: int
    rank: int
    peer: int
    word: int


@device
def stay(nanoseconds):
    """Let so much time pass and do nothing. One thread."""
    began = ptx.globaltimer()
    while ptx.globaltimer() - began < nanoseconds:
        cuda.nanosleep(NAP_NS)


@device
def has_stopped(plan):
    """Whether some role of this launch gave up."""
    return ptx.ld_relaxed_sys(plan.errors) != 0


@device
def give_up(plan, who, seen, own, expected, limit):
    """Write the record of a wait of `limit` nanoseconds, unless another role was first. From now on no wait of this launch lasts."""
    if ptx.atom_cas_sys(plan.errors, 0, 1) == 0:
        ptx.st_relaxed_sys(plan.errors + 8, who.role)
        ptx.st_relaxed_sys(plan.errors + 16, who.channel)
        ptx.st_relaxed_sys(plan.errors + 24, who.rank)
        ptx.st_relaxed_sys(plan.errors + 32, who.peer)
        ptx.st_relaxed_sys(plan.errors + 40, who.word)
        ptx.st_relaxed_sys(plan.errors + 48, seen)
        ptx.st_relaxed_sys(plan.errors + 56, own)
        ptx.st_relaxed_sys(plan.errors + 64, expected)
        ptx.st_relaxed_sys(plan.errors + 72, limit)


@device
def wait(plan, address, least, own, who):
    """Whether the word at `address` came to `least` or more; acquires what its writer released. One thread.

    `own` is the waiter's other counter, for the record. `plan` has `timeout` in nanoseconds and `errors`, the record's address.
    """
    return wait_at_most(plan, plan.timeout, address, least, own, who)


@device
def wait_behind(plan, address, least, own, who):
    """The same for what a role brings that waits itself. It lasts twice as long, so that the cause says so first."""
    return wait_at_most(plan, 2 * plan.timeout, address, least, own, who)


@device
def wait_at_most(plan, limit, address, least, own, who):
    """The wait of `wait` and `wait_behind`, of `limit` nanoseconds."""
    began = ptx.globaltimer()
    seen = ptx.ld_acquire_sys(address)
    while seen < least:
        if has_stopped(plan):
            return False
        if ptx.globaltimer() - began > limit:
            give_up(plan, who, seen, own, least, limit)
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
            give_up(plan, who, seen, own, least, plan.timeout)
            return False
        cuda.nanosleep(NAP_NS)
        seen = ptx.ld_acquire_cta(address)
    return True


@device
def all_lanes(went_well):
    """Whether every lane's wait went well. What one lane acquired, all lanes of the warp see from here on."""
    cuda.syncwarp()  # a vote orders no memory
    return cuda.all_sync(FULL, went_well)


@device
def any_lane(plan, address, least, own, who):
    """What each lane sees at its `address` as soon as one of them sees its `least` or more; GAVE_UP in all if none did. A warp.

    A lane with address 0 waits for nothing and gets 0. All lanes of the warp see what any of them acquired.
    """
    began = ptx.globaltimer()
    while True:
        seen = 0
        if address != 0:
            seen = ptx.ld_acquire_sys(address)
        if cuda.any_sync(FULL, address != 0 and seen >= least):
            cuda.syncwarp()
            return seen
        if is_over(plan, began, plan.timeout, address != 0, who, seen, own, least):
            return GAVE_UP


@device
def any_lane_in_block(plan, address, least, own, who):
    """The same for words that roles of one block share.

    It lasts twice as long: what a role of the own block waits for is the cause, and says so first.
    """
    began = ptx.globaltimer()
    while True:
        seen = 0
        if address != 0:
            seen = ptx.ld_acquire_cta(address)
        if cuda.any_sync(FULL, address != 0 and seen >= least):
            cuda.syncwarp()
            return seen
        if is_over(plan, began, 2 * plan.timeout, address != 0, who, seen, own, least):
            return GAVE_UP


@device
def lowest_in_block(words, count):
    """The lowest of `count` words in a row that roles of one block share. One lane."""
    lowest = ptx.ld_acquire_cta(words)
    at = 1
    while at < count:
        lowest = min(lowest, ptx.ld_acquire_cta(words + 8 * at))
        at += 1
    return lowest


@device
def any_grew(plan, words, count, told, items, least, who):
    """Whether for one of the items the lowest of its words came to `least` or more above what was told of it. A warp.

    Item i has `count` words in the block from `words` on, and one word `told`; lanes share the items. Like all waits
    inside a block it lasts twice as long.
    """
    began = ptx.globaltimer()
    while True:
        grew, lowest, before = False, 0, 0
        item = cuda.threadIdx.x % cuda.warpsize
        while item < items and not grew:
            lowest = lowest_in_block(words + 8 * item * count, count)
            before = ptx.ld_relaxed_cta(told + 8 * item)
            grew = lowest >= before + least
            item += cuda.warpsize
        if cuda.any_sync(FULL, grew):
            cuda.syncwarp()
            return True
        is_first = cuda.threadIdx.x % cuda.warpsize == 0
        if is_over(plan, began, 2 * plan.timeout, is_first, who, lowest, before, before + least):
            return False


@device
def is_over(plan, began, limit, is_waiting, who, seen, own, least):
    """Whether a warp's wait ends without what it waited for; else it naps. One of the waiting lanes writes the record."""
    if cuda.any_sync(FULL, has_stopped(plan)):
        return True
    if cuda.any_sync(FULL, ptx.globaltimer() - began > limit):
        if is_waiting:
            give_up(plan, who, seen, own, least, limit)
        return True
    cuda.nanosleep(NAP_NS)
    return False
