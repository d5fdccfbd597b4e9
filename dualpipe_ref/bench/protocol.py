"""What the checks of the protocol are worth: schedules that catch a mistake, the chance that one run does, and what a search costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dualpipe_ref.bench.processes import say
from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.comm.protocol import explore, rdma_ring_world, ring_world
from dualpipe_ref.comm.protocol.chance import chance
from dualpipe_ref.comm.protocol.mutations import SCHEDULES, mutation_table
from dualpipe_ref.comm.protocol.rewrites import sooner, without
from dualpipe_ref.comm.protocol.world import World

# Slots of rings for which the chance is added up, with two messages more than slots.
SLOTS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16)
MORE = 2
MISTAKES = {
    "no_credit": without("ring.sender.credit"),
    "early_credit": sooner("ring.receiver.credit", "ring.receiver.tail"),
}
# (messages, slots) of the rings that are searched on weak memory.
SEARCHED = ((4, 2), (6, 4), (8, 4))
WORLDS: dict[str, Callable[[int, int], World]] = {"nvlink": ring_world, "rdma": rdma_ring_world}


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/protocol.json)."""
    rows = [*search_rows(), *caught_rows(), *chance_rows()]
    path = record("protocol", "CPU", rows, (), out)
    print(as_text(rows))
    print(path)
    return 0


def search_rows() -> Iterator[Row]:
    """States of rings without a mistake, and how long it takes to try them all."""
    for link, world in WORLDS.items():
        for messages, slots in SEARCHED:
            began = time.process_time()
            found = explore(world(messages, slots), is_weak=True)
            seconds = time.process_time() - began
            assert found.is_right, found
            name = f"protocol.search_{link}_{messages}_{slots}"
            say(f"{name}: {found.states} states, {seconds:.2f} s")
            yield Row(name, seconds, f"s of one core for {found.states:,} states")


def caught_rows(schedules: int = SCHEDULES) -> Iterator[Row]:
    """How many adversarial schedules catch each mistake of dispatch and combine."""
    for one in mutation_table(schedules):
        say(f"{one.phase}: {one.name}: {one.caught} of {one.of}")
        yield Row(f"protocol.{one.phase}: {one.name}", one.caught, f"of {one.of} schedules")


def chance_rows() -> Iterator[Row]:
    """The chance that an even schedule goes wrong, in rings that grow."""
    for name, rewrite in MISTAKES.items():
        for slots in SLOTS:
            likely = chance(ring_world(slots + MORE, slots), rewrite).wrong
            say(f"{name}, {slots} slots: {float(likely):.3g}")
            yield Row(f"protocol.chance_{name}_{slots}", float(likely), "of one run")
