"""Litmus tests: small programs of a few threads, what they may end with, and what no run may end with."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated

SEEDS = 48
X, Y, F, G = range(4)
PLACES, MOST = 4, 6


class Plan(NamedTuple):
    first_rank: int
    blocks: int
    words: int
    seen: int
    programs: tuple
    in_one_block: bool


@device
def until(load, address):
    """Looks until something is there."""
    seen = load(address)
    while seen == 0:
        cuda.nanosleep(64)
        seen = load(address)
    return seen


@device
def do(name, address, value):
    """One instruction; a load gives what it saw."""
    if name == "st":
        ptx.st_i64(address, value)
    elif name == "ld":
        return ptx.ld_i64(address)
    elif name == "st.relaxed":
        ptx.st_relaxed_sys(address, value)
    elif name == "ld.relaxed":
        return ptx.ld_relaxed_sys(address)
    elif name == "st.release":
        ptx.st_release_sys(address, value)
    elif name == "ld.acquire":
        return ptx.ld_acquire_sys(address)
    elif name == "until":
        return until(ptx.ld_i64, address)
    elif name == "until.relaxed":
        return until(ptx.ld_relaxed_sys, address)
    elif name == "until.acquire":
        return until(ptx.ld_acquire_sys, address)
    elif name == "until.acquire.cta":
        return until(ptx.ld_acquire_cta, address)
    elif name == "st.release.cta":
        ptx.st_release_cta(address, value)
    elif name == "red.relaxed":
        ptx.red_add_relaxed_sys(address, value)
    elif name == "red.release":
        ptx.red_add_release_sys(address, value)
    elif name == "atom.acq_rel":
        return ptx.atom_add_acq_rel_sys(address, value)
    elif name == "fence":
        ptx.fence_acq_rel_sys()
    return -1


def kernel(plan):
    """Thread 0 of each block runs a program, or lane n of the only block: (instruction, place, value) after one another."""
    number = cuda.blockIdx.x
    if plan.in_one_block:
        number = lane()
    elif lane() != 0:
        return
    if number < len(plan.programs):
        at = 0
        for name, place, value in plan.programs[number]:
            seen = do(name, plan.words + 8 * place, value)
            if seen != -1:
                ptx.st_i64(plan.seen + 8 * (MOST * number + at), seen)
                at += 1


def outcome(programs, seed, in_one_block=False, weak=True):
    """What each program's loads saw, one after another, and what memory holds at the end."""
    words = torch.zeros(PLACES, dtype=torch.int64)
    seen = torch.full((len(programs), MOST), -1, dtype=torch.int64)
    blocks = 1 if in_one_block else len(programs)
    plan = Plan(0, blocks, words.data_ptr(), seen.data_ptr(), programs, in_one_block)
    emulated = Emulated(Topology(1, 1), seed=seed, weak=weak)
    emulated.launch(kernel, plan, blocks=blocks, threads=4, tensors=[words, seen])
    return tuple(tuple(int(one) for one in row if one >= 0) for row in seen), tuple(words.tolist())


def message(store, load, before=(), after=()):
    """One leaves a number at X and says so at F; the other looks at F until it is there, then at X."""
    return (
        (("st", X, 1), *before, (store, F, 1)),
        ((load, F, 0), *after, ("ld", X, 0)),
    )


FENCE = (("fence", 0, 0),)
MISSED = ((), (1, 0))  # F was there, X was not
# Each with whether the message can be missed.
MESSAGES = {
    "release and acquire": (message("st.release", "until.acquire"), False),
    "relaxed store": (message("st.relaxed", "until.acquire"), True),
    "relaxed load": (message("st.release", "until.relaxed"), True),
    "two fences": (message("st.relaxed", "until.relaxed", FENCE, FENCE), False),
    "only a fence before the store": (message("st.relaxed", "until.relaxed", FENCE), True),
    "only a fence after the load": (message("st.relaxed", "until.relaxed", (), FENCE), True),
    "fence and acquire": (message("st.relaxed", "until.acquire", FENCE), False),
    "release and fence": (message("st.release", "until.relaxed", (), FENCE), False),
    "plain flag": (message("st", "until"), True),
    "release of the block": (message("st.release.cta", "until.acquire"), True),
    "acquire of the block": (message("st.release", "until.acquire.cta"), True),
    "added with release": (message("red.release", "until.acquire"), False),
    "added relaxed": (message("red.relaxed", "until.acquire"), True),
}


def outcomes(programs, in_one_block=False, weak=True):
    return {outcome(programs, seed, in_one_block, weak)[0] for seed in range(SEEDS)}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_missed_only_where_nothing_orders_it(name):
    programs, may_miss = MESSAGES[name]
    assert (MISSED in outcomes(programs)) == may_miss


@pytest.mark.parametrize("name", MESSAGES)
def test_sequentially_consistent_memory_misses_none(name):
    assert MISSED not in outcomes(MESSAGES[name][0], weak=False)


def test_a_release_of_the_block_reaches_the_block():
    programs = message("st.release.cta", "until.acquire.cta")
    assert MISSED not in outcomes(programs, in_one_block=True)
    assert MISSED in outcomes(message("st.relaxed", "until.acquire.cta"), in_one_block=True)


def passed_on(first, load, store, last):
    """X, and a signal that goes from F by way of another thread to G."""
    return (
        (("st", X, 1), (first, F, 1)),
        ((load, F, 0), (store, G, 1)),
        ((last, G, 0), ("ld", X, 0)),
    )


def test_what_was_acquired_is_released_again():
    missed = ((), (1,), (1, 0))
    assert missed not in outcomes(
        passed_on("st.release", "until.acquire", "st.release", "until.acquire")
    )
    assert missed in outcomes(
        passed_on("st.release", "until.relaxed", "st.relaxed", "until.acquire")
    )


def continued(change):
    """A release at F, and another thread changes F before it is acquired."""
    return (
        (("st", X, 1), ("st.release", F, 1)),
        ((change, F, 2),),
        (("until.acquire", F, 0), ("ld", X, 0)),
    )


def test_an_atomic_addition_hands_on_what_was_released_before_it_and_a_store_does_not():
    assert ((), (), (3, 0)) not in outcomes(continued("red.relaxed"))
    assert ((), (), (2, 0)) in outcomes(continued("st.relaxed"))


def test_stores_may_be_late_for_both():
    programs = (
        (("st.relaxed", X, 1), ("ld.relaxed", Y, 0)),
        (("st.relaxed", Y, 1), ("ld.relaxed", X, 0)),
    )
    assert ((0,), (0,)) in outcomes(programs)
    assert ((0,), (0,)) not in outcomes(programs, weak=False)


def test_two_readers_may_disagree_about_the_order_of_two_writers():
    programs = (
        (("st.relaxed", X, 1),),
        (("st.relaxed", Y, 1),),
        (("ld.acquire", X, 0), ("ld.acquire", Y, 0)),
        (("ld.acquire", Y, 0), ("ld.acquire", X, 0)),
    )
    assert ((), (), (1, 0), (1, 0)) in outcomes(programs)


def test_looks_at_one_word_never_go_backwards():
    programs = (
        (("st.relaxed", F, 1), ("st.relaxed", F, 2), ("st.release", F, 3)),
        tuple(("ld.relaxed", F, 0) for _ in range(5)),
        (("ld.acquire", F, 0), ("atom.acq_rel", F, 0), ("ld.relaxed", F, 0)),
    )
    found = outcomes(programs)
    assert len({looks for _, looks, _ in found}) > 3
    for _, looks, others in found:
        assert list(looks) == sorted(looks)
        assert list(others) == sorted(others)


LOADS = ("ld", "ld.relaxed", "ld.acquire", "atom.acq_rel")
STORES = ("st", "st.relaxed", "st.release", "red.relaxed", "red.release", "fence")
instruction = st.tuples(st.sampled_from(LOADS + STORES), st.integers(0, PLACES - 1))
program = st.lists(instruction, max_size=MOST)


@given(st.lists(program, min_size=1, max_size=3), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_additions_are_never_lost_and_no_value_comes_from_nowhere(drawn, seed):
    """Every addition adds a power of two of its own, so a value says which additions it is made of."""
    bit, programs, adds = 0, [], [0] * PLACES
    for one in drawn:
        steps = []
        for name, place in one:
            name = name.replace("st", "red") if name in ("st.relaxed", "st.release") else name
            value = 0
            if name.startswith("red") or name == "atom.acq_rel":
                value, bit = 1 << bit, bit + 1
                adds[place] += value
            steps.append(("fence" if name == "st" else name, place, value))
        programs.append(tuple(steps))
    seen, words = outcome(tuple(programs), seed)
    assert list(words) == adds
    for own, looks in zip(programs, seen, strict=True):
        at, last = 0, [0] * PLACES
        for name, place, value in own:
            if name in LOADS:
                assert looks[at] & ~adds[place] == 0
                if name != "ld":
                    assert looks[at] & last[place] == last[place]
                    last[place] = looks[at]
                at += 1
            last[place] |= value
