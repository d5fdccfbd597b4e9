"""Is this schedule right? Every rule that an order of work must keep, checked without running any model."""

from __future__ import annotations

from dualpipe_ref.schedule.check_bounds import (
    check_activations,
    check_pending_weights,
    check_weights_in_order,
)
from dualpipe_ref.schedule.check_compute import check_compute
from dualpipe_ref.schedule.check_deadlock import (
    check_dependencies,
    check_eager,
    check_rendezvous,
)
from dualpipe_ref.schedule.check_messages import check_messages
from dualpipe_ref.schedule.collection import collection_paused
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.violations import Rule, VerificationError, Violation

# With so many more chunks than ops, what is missing is not listed one by one.
MOST_MISSING = 200_000


def find_violations(
    schedule: Schedule,
    *,
    rendezvous: bool = True,
    max_activations: int | None = None,
    max_pending_weights: int | None = None,
    weights_in_order: bool = False,
) -> tuple[Violation, ...]:
    """Every broken rule that can be told; empty where the schedule is right.

    Checked in this order, each where the ones before it hold: each chunk's F, I and W once, on its
    rank, in order; messages sent once after they are made and received once before they are needed;
    both ends of every channel in the same order; no deadlock, with buffered sends and (unless
    `rendezvous` is false) with sends that block. Then, where asked for: at most `max_activations`
    chunks with a forward begun and no input gradient, at most `max_pending_weights` weight gradients
    waiting, and these run first in, first out (`weights_in_order`).

    >>> from dualpipe_ref.schedule import build
    >>> find_violations(build("dualpipe", 8, 20), max_activations=9)
    ()
    >>> print(find_violations(build("gpipe", 2, 4), max_activations=3)[0])
    activation bound: rank 0 at F0.3 (op 3): holds 4 chunks; the bound is 3
    """
    with collection_paused():
        found = _broken_rules(schedule, rendezvous)
    if max_activations is not None:
        found += check_activations(schedule, max_activations)
    if max_pending_weights is not None:
        found += check_pending_weights(schedule, max_pending_weights)
    if weights_in_order:
        found += check_weights_in_order(schedule)
    return tuple(found)


def _broken_rules(schedule: Schedule, rendezvous: bool) -> list[Violation]:
    chunks, listed = schedule.numbering.chunks, sum(map(len, schedule.ops))
    if chunks > max(MOST_MISSING, 4 * listed):
        # Said before room is made for them all. An op does at most half of the work of two chunks.
        return [Violation(Rule.COMPLETENESS, None, f"{chunks} chunks but only {listed} ops")]
    try:
        _ = schedule.flat_ops
    except InputError as error:
        return [Violation(Rule.COMPLETENESS, None, str(error))]
    if found := check_compute(schedule):
        return found
    if found := check_messages(schedule):
        # Messages cannot be placed among ops that wait for each other: then that ring is the cause.
        return check_dependencies(schedule) or found
    blocked = check_rendezvous(schedule)
    if not blocked:
        return []  # A run in which sends block is also a run in which they do not.
    ring = check_dependencies(schedule) or check_eager(schedule)
    return ring or (blocked if rendezvous else [])


def verify(
    schedule: Schedule,
    *,
    rendezvous: bool = True,
    max_activations: int | None = None,
    max_pending_weights: int | None = None,
    weights_in_order: bool = False,
) -> Schedule:
    """Return `schedule` if `find_violations` (same arguments) finds none, else raise `VerificationError`.

    >>> from dualpipe_ref.schedule import build
    >>> verify(build("zb-v", 4, 8))
    Schedule('zb-v', P=4, m=8, 192 ops, 96 messages)
    """
    found = find_violations(
        schedule,
        rendezvous=rendezvous,
        max_activations=max_activations,
        max_pending_weights=max_pending_weights,
        weights_in_order=weights_in_order,
    )
    if found:
        raise VerificationError(found)
    return schedule
