"""DualPipeV: DualPipe cut in half, one copy of the model folded into a V (DeepSeek's released code, 2025)."""

from __future__ import annotations

from dualpipe_ref.schedule.dualpipe import eight_steps
from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.messages import assemble


def dualpipev(ranks: int, microbatches: int) -> Schedule:
    """DualPipeV for P = `ranks` >= 2 and m = `microbatches` >= 2P - 1.

    Rank r runs the eight steps of DualPipe's rank r among 2P ranks: slot 0 is the way down the V, slot
    1 the way back, and the last rank hands its own output to itself. The released code asks for m >= 2P.

    >>> print(*dualpipev(2, 4).ops[1])
    F0.0 F1.0 F0.1 F1.1 F0.2 B1.0 FB(F1.2, B0.0) FB(F0.3, B1.1) FB(F1.3, B0.1) B1.2 B0.2 I1.3 I0.3 W1.3 W0.3
    """
    require_int("P", ranks, 2)
    require_int("m", microbatches, 1, least_legal=2 * ranks - 1)
    if microbatches < 2 * ranks - 1:
        raise InputError(
            "DualPipeV needs m at least 2P - 1",
            f"P = {ranks}, m = {microbatches}",
            f"m = {2 * ranks - 1}",
        )
    return assemble(
        "dualpipev",
        ranks,
        microbatches,
        lambda rank: eight_steps(rank, ranks, microbatches, near=0, far=1).ops,
    )
