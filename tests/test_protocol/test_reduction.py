"""What the explorer leaves out hides nothing: random little programs, and both phases at tiny sizes, against the search
that leaves nothing out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import (
    Combine,
    Dispatch,
    Sizes,
    explore,
    handle_of,
    local_states,
    ring_world,
    run,
)
from dualpipe_ref.comm.protocol.mutations import MUTATIONS, Mutation
from dualpipe_ref.comm.protocol.operations import (
    Message,
    Read,
    Record,
    Store,
    Take,
    Write,
    any_of,
    at_least,
    read_message,
    values_at_least,
)
from dualpipe_ref.comm.protocol.run import Rewrite
from dualpipe_ref.comm.protocol.world import Place, World

from .phases import routes_of

TINY = Sizes(
    senders=1,
    window=1,
    rdma_ring=2,
    rdma_chunk=1,
    nvl_ring=1,
    nvl_chunk=1,
    sub_ring=1,
    large_warp=1,
    receivers=1,
    parts=1,
)
WORDS, SLOTS = range(3), range(2)
word, bound, slot = st.sampled_from(WORDS), st.integers(1, 2), st.sampled_from(SLOTS)
STEPS = st.one_of(
    st.just(("raise",)),
    st.tuples(st.just("wait"), word, bound),
    st.tuples(st.just("look"), word, bound),
    st.tuples(st.just("either"), st.tuples(word, bound), st.tuples(word, bound)),
    st.tuples(st.just("write"), slot, st.integers(0, 1)),
    st.tuples(st.just("read"), slot, st.integers(0, 1)),
    st.tuples(st.just("locked"), st.integers(0, 1)),
    st.tuples(st.just("poke"), st.integers(0, 1)),
    st.just(("peek",)),
)
PROGRAMS = st.lists(st.lists(STEPS, min_size=1, max_size=4), min_size=2, max_size=3)


def program_world(programs: list[list[tuple]]) -> World:
    """Role r raises word r alone; all share two slots, and a third behind a lock."""
    world = World()
    looked_at = {step[1] for mine in programs for step in mine if step[0] == "look"}
    words = [world.word(f"word {at}", bounds_only=at not in looked_at) for at in WORDS]
    slots = [world.slot(f"slot {at}") for at in SLOTS]
    lock, guarded, cell = world.word("lock"), world.slot("guarded"), world.cell("cell", 0)
    for slot in (*slots, guarded):
        slot.initial = Message(0, None)
    for role, program in enumerate(programs):
        record = world.record(f"record {role}")
        world.role(
            f"role {role}",
            Place(role, "block"),
            partial(steps_of, role, program, words, slots, lock, guarded, cell, record),
            reads=[words, slots, lock, guarded, cell],
            writes=[words[role], slots, lock, guarded, cell, record],
        )
    return world


def steps_of(role, program, words, slots, lock, guarded, cell, record):
    raised = 0
    for at in range(len(program)):
        kind, *rest = program[at]
        if kind == "raise":
            raised += 1
            yield Store("ring.sender.tail", words[role], raised)
        elif kind == "wait":
            yield at_least("ring.sender.credit", (words[rest[0]], rest[1]))
        elif kind == "look":
            _, (seen,) = yield values_at_least("ring.receiver.tail", (words[rest[0]], rest[1]))
            yield Record("ring.receiver.record", record, seen)
        elif kind == "either":
            ways = {way: ((words[rest[way][0]], rest[way][1]),) for way in range(2)}
            way = yield any_of("ring.sender.credit", ways)
            yield Record("ring.receiver.record", record, way)
        elif kind == "write":
            yield Write("ring.sender.slot", slots[rest[0]], Message(rest[1], None))
        elif kind == "read":
            yield from read_message("ring.receiver.slot", [slots[rest[0]]], rest[1])
        elif kind == "poke":
            yield Write("ring.sender.slot", cell, rest[0])
        elif kind == "peek":
            seen = yield Read("ring.receiver.slot", cell)
            yield Record("ring.receiver.record", record, seen)
        else:
            yield Take("dispatch.sender.window.lock", lock)
            yield from read_message("ring.receiver.slot", [guarded], 0)
            yield Write("ring.sender.slot", guarded, Message(rest[0], None))
            yield Write("ring.sender.slot", guarded, Message(0, None))
            yield Store("dispatch.sender.window.unlock", lock, 0)


@settings(max_examples=300, deadline=None)
@given(PROGRAMS)
def test_programs_are_judged_as_by_the_plain_search(programs: list[list[tuple]]) -> None:
    short = explore(program_world(programs))
    plain = explore(program_world(programs), reduce=False)
    event(plain.kind)
    assert short.is_right == plain.is_right
    if plain.is_right:
        assert short.states <= plain.states
        assert short.results == plain.results


def judged_alike(world: World, rewrite: Rewrite | None) -> str:
    short, plain = explore(world, rewrite=rewrite), explore(world, rewrite=rewrite, reduce=False)
    assert "unfinished" not in (short.kind, plain.kind)
    assert short.is_right == plain.is_right
    if plain.is_right:
        assert short.results == plain.results
    return plain.kind


def rewrites_of(phase: str) -> list[Mutation | None]:
    return [None, *(one for one in MUTATIONS if one.phase == phase and one.rewrite is not None)]


def name(mutation: Mutation | None) -> str:
    return "as it should be" if mutation is None else mutation.name


@pytest.mark.parametrize("mutation", rewrites_of("dispatch"), ids=name)
def test_dispatch_is_judged_as_by_the_plain_search(mutation: Mutation | None) -> None:
    world = Dispatch(routes_of(1, 1, {0: [(0,)] * 3}), TINY).world
    judged_alike(world, mutation and mutation.rewrite)


@pytest.mark.parametrize("mutation", rewrites_of("combine"), ids=name)
def test_combine_is_judged_as_by_the_plain_search(mutation: Mutation | None) -> None:
    routes = routes_of(1, 1, {0: [(0,)] * 3})
    sizes = replace(TINY, rdma_ring=4, rdma_chunk=2, large_warp=2, sub_ring=2)
    dispatch = Dispatch(routes, sizes)
    handle = handle_of(dispatch, run(dispatch.world, 0).records)
    judged_alike(Combine(routes, sizes, handle).world, mutation and mutation.rewrite)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", rewrites_of("dispatch"), ids=name)
def test_dispatch_over_rdma_is_judged_as_by_the_plain_search(mutation: Mutation | None) -> None:
    world = Dispatch(routes_of(2, 1, {0: [(1,)] * 2}), TINY).world
    judged_alike(world, mutation and mutation.rewrite)


@pytest.mark.parametrize("reduce", [False, True])
def test_local_states_that_are_taken_for_one_are_one(
    monkeypatch: pytest.MonkeyPatch, reduce: bool
) -> None:
    """With a state of its own for every history of a role, the search comes to the same end."""
    worlds = [ring_world(3, 2), Dispatch(routes_of(1, 1, {0: [(0,)] * 2}), TINY).world]
    merged = [explore(world, reduce=reduce) for world in worlds]
    numbers = count()
    monkeypatch.setattr(local_states, "_fingerprint", lambda steps: next(numbers))
    apart = [explore(world, reduce=reduce) for world in worlds]
    for one, other in zip(merged, apart, strict=True):
        assert (one.kind, one.results) == (other.kind, other.results)
        assert one.states <= other.states


def test_a_role_that_does_not_say_what_it_touches_is_caught() -> None:
    world = ring_world(2, 2)
    hidden = world.roles[0]._replace(writes=frozenset())
    world.roles[0] = hidden
    with pytest.raises(AssertionError, match="touches what it does not name"):
        explore(world)


def test_a_word_that_does_not_keep_its_promise_is_caught() -> None:
    world = ring_world(2, 2)
    tail = next(one for one in world.locations if one.name == "tail")
    tail.bounds_only = True
    with pytest.raises(AssertionError, match="looks at the value of tail"):
        explore(world)
    tail.bounds_only, tail.once = False, True
    with pytest.raises(AssertionError, match="tail is written twice"):
        explore(world)
