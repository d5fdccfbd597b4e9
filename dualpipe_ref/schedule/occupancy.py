"""How many chunks a rank holds while it runs its ops: one count for the verifier and for the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Op, OpKind, Schedule


class Held(NamedTuple):
    """What a rank holds, in chunks.

    `activations`: forward begun, input gradient not finished. `pending_weights`: input gradient
    finished, weight gradient not. `held` counts both: what stays in memory until W is finished.
    """

    activations: int
    pending_weights: int

    @property
    def held(self) -> int:
        return self.activations + self.pending_weights


class Peaks(NamedTuple):
    """The most that each rank holds at once, one number a rank (see `Held`)."""

    activations: tuple[int, ...]
    held: tuple[int, ...]
    pending_weights: tuple[int, ...]


def occupancy(ops: Iterable[Op]) -> Iterator[tuple[Held, Held]]:
    """What a rank holds while each op runs, and after it.

    A chunk counts from the start of its forward; so an overlapped FB holds both its chunks.

    >>> from dualpipe_ref.schedule import build
    >>> [during.activations for during, _ in occupancy(build("1f1b", 2, 2).ops[0])]
    [1, 2, 2, 1]
    """
    activations = pending = 0
    for kind, forward, backward in ops:
        if forward is not None:
            activations += 1
        during = Held(activations, pending)
        if kind is OpKind.W:
            pending -= 1
        elif backward is not None:
            activations -= 1
            if kind is OpKind.I:
                pending += 1
        yield during, Held(activations, pending)


def peaks(schedule: Schedule) -> Peaks:
    """The most that each rank holds at once.

    >>> from dualpipe_ref.schedule import build
    >>> peaks(build("dualpipe", 4, 8)).activations
    (5, 5, 5, 5)
    """
    rows = [
        [held for pair in occupancy(ops) for held in pair] or [Held(0, 0)] for ops in schedule.ops
    ]
    return Peaks(
        tuple(max(held.activations for held in row) for row in rows),
        tuple(max(held.held for held in row) for row in rows),
        tuple(max(held.pending_weights for held in row) for row in rows),
    )
