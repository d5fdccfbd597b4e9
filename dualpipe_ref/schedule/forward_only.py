"""The forwards of a schedule alone, for evaluation."""

from __future__ import annotations

from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.messages import place_messages
from dualpipe_ref.schedule.work import Op, OpKind


def forward_only(schedule: Schedule) -> Schedule:
    """The same micro-batches in the same places, forward only; each rank keeps its order of forwards.

    A forward waits for forwards alone, so what could run with the backwards can run without them.

    >>> from dualpipe_ref.schedule import build
    >>> forward_only(build("1f1b", 2, 3))
    Schedule('1f1b', P=2, m=3, 6 ops, 3 messages)
    """
    forwards = tuple(
        tuple(Op(OpKind.F, op.forward) for op in ops if op.forward) for ops in schedule.ops
    )
    numbering = schedule.numbering
    flat = [numbering.flatten(rank, ops) for rank, ops in enumerate(forwards)]
    batches = tuple(map(tuple, place_messages(numbering, flat)))
    return Schedule(schedule.kind, schedule.placement, schedule.microbatches, forwards, batches)
