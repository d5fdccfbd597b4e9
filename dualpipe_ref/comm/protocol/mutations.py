"""What the checks are worth: the protocol with one mistake at a time, and how many schedules show it.

The mistakes: each rule of the queues left out, each size rule broken, each ordering of memory taken away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dualpipe_ref.comm.protocol.combine import Combine
from dualpipe_ref.comm.protocol.dispatch import Dispatch
from dualpipe_ref.comm.protocol.heads import encoded_lanes, handle_of
from dualpipe_ref.comm.protocol.operations import Operation
from dualpipe_ref.comm.protocol.rewrites import any_instead_of_all, later, sooner, without
from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.run import Memory, Outcome, Rewrite, run
from dualpipe_ref.comm.protocol.sites import Weakened, weakenings
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.protocol.window import Finish, finish_at_once, finish_in_order
from dualpipe_ref.comm.topology import Topology

# Large enough that every ring wraps and every warp has work.
SIZES = Sizes(senders=3, rdma_ring=4, rdma_chunk=2, nvl_ring=3, nvl_chunk=2, sub_ring=3)
SCHEDULES = 60


def _as_they_are(heads: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one) for one in heads)


@dataclass(frozen=True)
class Mutation:
    """One mistake, in one phase; without any it is the protocol as it should be."""

    name: str
    phase: str
    rewrite: Rewrite | None = None
    sizes: Sizes = SIZES
    finish: Finish = finish_in_order
    has_pre_pass: bool = True
    is_judged_by_flight: bool = False


def _broken(**changes: int) -> Sizes:
    return replace(SIZES, _breaks_rules=True, **changes)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("a sender ignores credit", "dispatch", without("dispatch.sender.credit")),
    Mutation("a forwarder ignores room", "dispatch", without("dispatch.forwarder.room")),
    Mutation(
        "RDMA tail before data",
        "dispatch",
        later("dispatch.sender_coordinator.put", "dispatch.sender_coordinator.tail"),
    ),
    Mutation(
        "NVLink tail before data",
        "dispatch",
        later("dispatch.forwarder.nvl_slot", "dispatch.forwarder.nvl_tail"),
    ),
    Mutation(
        "credit before the slots are read",
        "dispatch",
        sooner("dispatch.receiver.credit", "dispatch.receiver.nvl_tail"),
    ),
    Mutation(
        "maximum instead of minimum of the forwarders",
        "dispatch",
        any_instead_of_all("dispatch.forwarder_coordinator.passed"),
    ),
    Mutation("no completion window", "dispatch", finish=finish_at_once),
    Mutation("no hints in the forwarder", "combine", without("combine.forwarder.hint")),
    Mutation("no hints in the receiver", "combine", without("combine.receiver.hint")),
    Mutation("no pre-pass", "combine", has_pre_pass=False),
    Mutation("a forwarder ignores credit", "combine", without("combine.forwarder.credit")),
    Mutation("a sender ignores room", "combine", without("combine.sender.room")),
    Mutation(
        "NVLink tail before data",
        "combine",
        later("combine.sender.nvl_slot", "combine.sender.nvl_tail"),
    ),
    Mutation(
        "RDMA tail before data",
        "combine",
        later("combine.forwarder.put", "combine.forwarder.tail"),
    ),
    Mutation("no barrier of the large warp", "combine", without("combine.forwarder.barrier.wait")),
    Mutation(
        "maximum instead of minimum of the forwarders",
        "combine",
        any_instead_of_all("combine.forwarder_coordinator.free"),
    ),
    Mutation(
        "maximum instead of minimum of the receivers",
        "combine",
        any_instead_of_all("combine.receiver_coordinator.free"),
    ),
    Mutation("a chunk does not divide its ring", "dispatch", sizes=_broken(rdma_ring=5)),
    Mutation(
        "a sub-ring two slots below its rule",
        "combine",
        sizes=_broken(sub_ring=4, nvl_chunk=3, large_warp=4, rdma_chunk=4, rdma_ring=8),
    ),
    Mutation(
        "more warps than messages of a chunk", "combine", sizes=_broken(large_warp=3, sub_ring=4)
    ),
    Mutation(
        "one chunk fills the ring",
        "dispatch",
        sizes=_broken(rdma_ring=2),
        is_judged_by_flight=True,
    ),
)


class Caught(NamedTuple):
    """How many schedules showed a mistake, which seed was the first, and as what it showed."""

    name: str
    phase: str
    caught: int
    of: int
    first_seed: int | None
    kinds: tuple[str, ...]


def some_routes(seed: int) -> Routes:
    """A routing for a schedule: two or three nodes of one to three GPUs, up to ten tokens a rank."""
    draw = random.Random(seed)
    topology = Topology(draw.choice([2, 2, 3]), draw.choice([1, 2, 2, 3]))
    experts = 2 * topology.ranks
    each = min(experts, draw.choice([1, 2, 3]))
    tokens = tuple(
        tuple(tuple(draw.sample(range(experts), each)) for _ in range(draw.choice([0, 4, 8, 10])))
        for _ in range(topology.ranks)
    )
    return Routes(topology, experts, tokens)


def tried(mutation: Mutation, schedules: int = SCHEDULES) -> Caught:
    """One mistake under the schedules of seeds 0, 1, ..., each with a routing of its own.

    >>> no_window = next(one for one in MUTATIONS if one.name == "no completion window")
    >>> tried(no_window, schedules=3).first_seed
    0
    """
    return _counted(
        mutation.name, mutation.phase, [_kind(mutation, seed) for seed in range(schedules)]
    )


def _counted(name: str, phase: str, kinds: Sequence[str]) -> Caught:
    seeds = [seed for seed, kind in enumerate(kinds) if kind != "finished"]
    shown = tuple(sorted({kinds[seed] for seed in seeds}))
    return Caught(name, phase, len(seeds), len(kinds), seeds[0] if seeds else None, shown)


def _kind(mutation: Mutation, seed: int) -> str:
    if mutation.is_judged_by_flight:
        return "stop and wait" if most_in_flight(mutation, seed) < 2 else "finished"
    return mutated(mutation, seed).kind


def mutated(
    mutation: Mutation, seed: int, weakened: Weakened | None = None, keep: int = 0
) -> Outcome:
    """One run of the phase that a mistake is in, after a dispatch without it where that is combine."""
    routes = some_routes(seed)
    if mutation.phase == "dispatch":
        world = Dispatch(routes, mutation.sizes, mutation.finish).world
    else:
        dispatch = Dispatch(routes, SIZES)
        records = run(dispatch.world, seed).records
        assert records is not None
        pre_pass = encoded_lanes if mutation.has_pre_pass else _as_they_are
        handle = handle_of(dispatch, records)
        world = Combine(routes, mutation.sizes, handle, pre_pass).world
    return run(world, seed, weakened=weakened, rewrite=mutation.rewrite, keep=keep)


def most_in_flight(mutation: Mutation, seed: int) -> float:
    """The most chunks that were under way in one RDMA ring at once, as its sender's credit has it."""
    dispatch = Dispatch(some_routes(seed), mutation.sizes, mutation.finish)
    heads = {link.tail: link.head for link in dispatch.links.values()}
    most = 0

    def observe(memory: Memory, operation: Operation) -> None:
        nonlocal most
        word = getattr(operation, "word", None)
        if word in heads:
            most = max(most, memory.cells[word.index] - memory.cells[heads[word].index])

    run(dispatch.world, seed, observe=observe)
    return most / mutation.sizes.rdma_chunk


def mutation_table(schedules: int = SCHEDULES) -> list[Caught]:
    """Every mistake of `MUTATIONS`, after the protocol without one, which nothing may be held against."""
    right = [Mutation("as it should be", phase) for phase in ("dispatch", "combine")]
    return [tried(one, schedules) for one in (*right, *MUTATIONS)]


def order_table(phase: str, schedules: int = SCHEDULES) -> list[Caught]:
    """Every ordered operation of a phase, without its order or with too narrow a scope, on weak memory."""
    right = Mutation("as it should be", phase)
    return [
        _counted(
            f"{one.site}: {one.scope or 'no order'}",
            phase,
            [mutated(right, seed, one).kind for seed in range(schedules)],
        )
        for one in weakenings(phase)
    ]
