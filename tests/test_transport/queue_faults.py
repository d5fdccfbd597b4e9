"""The queues with one planted fault at a time: kernels with a piece of their text replaced, sizes that break a rule, a link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from dualpipe_ref.comm import queues
from dualpipe_ref.comm.kernels import (
    queue_combine,
    queue_dispatch,
    queue_forward,
    queue_heads,
    queue_plan,
    queue_receive,
    queue_reduce,
    waiting,
)
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.transport.emulated import Deadlock, Emulated, KernelError
from tests.test_transport.mutants import mutated
from tests.test_transport.queue_cases import SMALL, both_phases, queues_of
from tests.test_transport.traffic import drawn

Kernel = Callable[..., Any]


class Fault(NamedTuple):
    """One mistake, and the kernels that have it, by the name that `queues` calls them."""

    name: str
    kernels: dict[str, Kernel] = {}  # noqa: RUF012
    sizes: Sizes = SMALL
    weak: bool = False


def with_names(module: ModuleType, **names: object) -> SimpleNamespace:
    """A module whose functions call others than it imported."""
    return mutated(module, "from __future__ import annotations", "", **names)


def in_dispatch(module: ModuleType, old: str, new: str, *names: str) -> dict[str, Kernel]:
    """Dispatch whose role or helper `names` come from the mutant of a module."""
    mutant = mutated(module, old, new)
    if module is queue_dispatch:
        return {"dispatch": mutant.dispatch}
    changed = {name: getattr(mutant, name) for name in names}
    return {"dispatch": with_names(queue_dispatch, **changed).dispatch}


def in_combine(module: ModuleType, old: str, new: str, *names: str) -> dict[str, Kernel]:
    """The same of combine."""
    mutant = mutated(module, old, new)
    if module is queue_combine:
        return {"combine": mutant.combine}
    changed = {name: getattr(mutant, name) for name in names}
    return {"combine": with_names(queue_combine, **changed).combine}


def in_a_wait(old: str, new: str) -> SimpleNamespace:
    """The waits with a piece of their text replaced, and the roles of both phases that call them."""
    mutant = mutated(waiting, old, new)
    names = {
        name: getattr(mutant, name)
        for name in ("wait", "wait_in_block", "any_lane", "any_lane_in_block", "any_grew")
    }
    names["lowest_in_block"], names["all_lanes"] = mutant.lowest_in_block, mutant.all_lanes
    forward = with_names(queue_forward, **names)
    receive = with_names(queue_receive, **names)
    reduce = with_names(queue_reduce, **names)
    return SimpleNamespace(
        dispatch=with_names(
            queue_dispatch,
            **names,
            forwarder=forward.forwarder,
            forwarder_coordinator=forward.forwarder_coordinator,
            receiver=receive.receiver,
        ).dispatch,
        combine=with_names(
            queue_combine,
            **names,
            forwarder=reduce.forwarder,
            forwarder_coordinator=reduce.forwarder_coordinator,
        ).combine,
    )


def in_both(old: str, new: str) -> dict[str, Kernel]:
    """Both kernels with a mutant of `publish`."""
    publish = mutated(queue_plan, old, new).publish
    reduce = with_names(queue_reduce, publish=publish)
    return {
        "dispatch": with_names(queue_dispatch, publish=publish).dispatch,
        "combine": with_names(queue_combine, forwarder=reduce.forwarder).combine,
    }


def broken(**changes: int) -> Sizes:
    return replace(SMALL, _breaks_rules=True, **changes)


PUT = """        link.put(plan, here.rank, peer, here.channel, target, source, count * plan.message.size)
"""
TAIL = """        if lane() == 0:
            tail = rdma_word(plan, plan.rings.rdma_tail, here.channel, here.node)
            link.add(plan, here.rank, peer, here.channel, tail, count)
"""
COPY = "            copy(there + there_slot, slot, plan.message.size)\n"
EARLY = """            if lane() == 0:
                early = nvl_word(plan, plan.rings.nvl_tail, here.channel, here.local, 0)
                ptx.st_release_sys(there + early, sent + moved + 1)
"""
TAKEN = "        for counter in range(taken, tail):\n"
CREDIT = """        if lane() == 0:
            ptx.st_release_sys(credit, tail)
"""
ROWS = "    while step < many:\n"
ROWS_EARLY = """    if lane() == 0:
        here = noted(desk)
        early = nvl_word(plan, plan.rings.nvl_tail, here.channel, here.local, node)
        peer = heap_of(plan, here.node * plan.gpus + target)
        ptx.st_release_sys(peer + early, at + many)
"""
HINTS = {
    queue_reduce: "post(place_of(plan, words, node, which), freed_before(head))",
    queue_combine: "post(words + 8 * (lane() * plan.receivers + which), freed_before(head))",
}
MEET = "went_well = wait_in_block(plan, arrived, plan.large_warp * end, 0, who)"
BOTH = ("forwarder", "forwarder_coordinator")
LOWEST = "lowest = min(lowest,"
highest = in_a_wait(LOWEST, "lowest = max(lowest,")
relaxed = in_a_wait("ptx.ld_acquire_sys(address)", "ptx.ld_relaxed_sys(address)")

FAULTS = (
    # Rules of the queues that are left out.
    Fault(
        "dispatch: a sender ignores credit",
        in_dispatch(queue_dispatch, "counter - plan.rdma_ring + 1", "0"),
    ),
    Fault(
        "dispatch: a forwarder ignores room",
        in_dispatch(queue_forward, "sent + plan.nvl_chunk - plan.nvl_ring", "0", *BOTH),
    ),
    Fault(
        "dispatch: NVLink tail before data",
        in_dispatch(queue_forward, COPY, EARLY + COPY, *BOTH),
    ),
    Fault(
        "dispatch: credit before the slots are read",
        in_dispatch(queue_receive, TAKEN, CREDIT + TAKEN, "receiver"),
    ),
    Fault("dispatch: maximum instead of minimum", {"dispatch": highest.dispatch}),
    Fault(
        "dispatch: no completion window",
        in_dispatch(
            queue_dispatch,
            "ptx.ld_acquire_cta(done_word(plan, words, node, staged)) <= staged",
            "ptx.ld_acquire_cta(done_word(plan, words, node, staged)) < 0",
        ),
    ),
    Fault("both: RDMA tail before data", in_both(PUT + TAIL, TAIL + PUT)),
    Fault(
        "both: RDMA addition in another queue pair than its data",
        in_both(TAIL, TAIL.replace("peer, here.channel", "peer, here.channel + 2 * plan.channels")),
    ),
    Fault(
        "combine: no hints in the forwarder",
        in_combine(queue_reduce, HINTS[queue_reduce], "pass", *BOTH),
    ),
    Fault(
        "combine: no hints in the receiver", in_combine(queue_combine, HINTS[queue_combine], "pass")
    ),
    Fault(
        "combine: the pre-pass does not rewrite",
        {"pre_pass": mutated(queue_heads, "return -following - 1", "return -1").pre_pass},
    ),
    Fault(
        "combine: a forwarder ignores credit",
        in_combine(queue_reduce, "end - plan.rdma_ring", "0", *BOTH),
    ),
    Fault(
        "combine: a sender ignores room",
        in_combine(queue_combine, "sent + plan.nvl_chunk - plan.nvl_ring", "0"),
    ),
    Fault(
        "combine: NVLink tail before data",
        in_combine(queue_combine, ROWS, ROWS_EARLY + ROWS),
    ),
    Fault(
        "combine: no barrier of the large warp",
        in_combine(queue_reduce, MEET, "went_well = True", *BOTH),
    ),
    Fault("combine: maximum instead of minimum", {"combine": highest.combine}),
    # Rules of sizes that are broken.
    Fault("a chunk does not divide its ring", sizes=broken(rdma_ring=5)),
    Fault(
        "a sub-ring two slots below its rule",
        sizes=broken(sub_ring=4, nvl_chunk=3, nvl_ring=3, large_warp=4, rdma_chunk=4, rdma_ring=8),
    ),
    Fault("more warps than messages of a chunk", sizes=broken(large_warp=3, sub_ring=4)),
    # Orders of memory that are taken away.
    Fault("dispatch: waits without acquire", {"dispatch": relaxed.dispatch}, weak=True),
    Fault("combine: waits without acquire", {"combine": relaxed.combine}, weak=True),
    Fault(
        "dispatch: NVLink tail without release",
        in_dispatch(
            queue_forward,
            "ptx.st_release_sys(peer + tail_there, sent)",
            "ptx.st_relaxed_sys(peer + tail_there, sent)",
            *BOTH,
        ),
        weak=True,
    ),
    Fault(
        "dispatch: no syncwarp before the NVLink tail",
        in_dispatch(
            queue_forward,
            "    cuda.syncwarp()  # all lanes have read and written before one tells\n",
            "",
            *BOTH,
        ),
        weak=True,
    ),
    Fault(
        "dispatch: a slot is marked done without release",
        in_dispatch(queue_dispatch, "ptx.st_release_cta(done", "ptx.st_relaxed_cta(done"),
        weak=True,
    ),
    Fault(
        "combine: NVLink tail without release",
        in_combine(
            queue_combine,
            "ptx.st_release_sys(peer + tail, at + many)",
            "ptx.st_relaxed_sys(peer + tail, at + many)",
        ),
        weak=True,
    ),
    Fault(
        "combine: a large warp meets without release",
        in_combine(
            queue_reduce,
            "ptx.red_add_release_cta(arrived, plan.rdma_chunk)",
            "ptx.st_relaxed_cta(arrived, ptx.ld_relaxed_cta(arrived) + plan.rdma_chunk)",
            *BOTH,
        ),
        weak=True,
    ),
)
RIGHT = (Fault("as it should be"), Fault("as it should be, on weak memory", weak=True))


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Queues launch the fault's kernels meanwhile."""
    before = {name: getattr(queues, name) for name in fault.kernels}
    vars(queues).update(fault.kernels)
    try:
        yield
    finally:
        vars(queues).update(before)


def shown(fault: Fault, seed: int) -> str | None:
    """As what one schedule shows a fault, in both phases of two or three nodes; None if as nothing."""
    traffic = drawn(2 + seed % 2, 2, 12, seed, hidden=8, per_token=2, kind="even")
    transport = Emulated(traffic.topology, seed, weak=fault.weak)
    try:
        with planted(fault):
            both_phases(queues_of(traffic, transport, sizes=fault.sizes), traffic)
    except Deadlock:
        return "deadlock"
    except AssertionError:
        return "wrong bits"
    except (KernelError, RuntimeError, IndexError) as error:
        return type(error).__name__
    return "race" if fault.weak and transport.races.found else None


def table(seeds: int) -> None:
    """How many of so many seeds show each fault, and as what."""
    for fault in (*RIGHT, *FAULTS):
        found = [shown(fault, seed) for seed in range(seeds)]
        kinds = ", ".join(sorted({one for one in found if one}))
        count = sum(one is not None for one in found)
        print(f"{count:3} of {seeds}  {fault.name}: {kinds}", flush=True)


if __name__ == "__main__":
    import sys

    table(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
