"""The schedule whose overlap is measured. Without torch, for those who only look at the times."""

from __future__ import annotations

from dualpipe_ref.schedule import Schedule
from dualpipe_ref.schedule.dualpipe import eight_steps
from dualpipe_ref.schedule.messages import assemble

LAYERS, STAGES = 4, 2


def one_rank(microbatches: int) -> Schedule:
    """DualPipeV's eight steps for a pipeline of one rank, which holds both ends of the V: all that two cores can run.

    >>> print(*one_rank(3).ops[0])
    F0.0 F1.0 F0.1 B1.0 FB(F1.1, B0.0) FB(F0.2, B1.1) FB(F1.2, B0.1) B1.2 I0.2 W0.2
    """
    return assemble(
        "dualpipev", 1, microbatches, lambda rank: eight_steps(rank, 1, microbatches, 0, 1).ops
    )
