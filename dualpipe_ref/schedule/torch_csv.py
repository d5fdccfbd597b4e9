"""The CSV that torch.distributed.pipelining reads: a row a rank, an action a cell, without messages."""

from __future__ import annotations

import csv
import io

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Chunk, Op, OpKind, Schedule


def to_csv(schedule: Schedule) -> str:
    """The schedule as torch's `_load_csv(..., format="compute_only")` takes it.

    An action is the stage, the kind and the micro-batch, as 3F0; an FB is (3F5;4B1)OVERLAP_F_B.
    torch knows one direction only: InputError for chimera and dualpipe.

    >>> from dualpipe_ref.schedule import build
    >>> print(to_csv(build("zb-h1", 2, 2)), end="")
    0F0,0F1,0I0,0W0,0I1,0W1
    1F0,1I0,1F1,1I1,1W0,1W1
    """
    if schedule.placement.directions > 1:
        raise InputError(
            "torch's CSV has one direction", f"{schedule.kind}, which has two", "dualpipev or zb-v"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rank, ops in enumerate(schedule.ops):
        stages = [stage for _, stage in schedule.placement.homes[rank]]
        writer.writerow(_action(op, stages) for op in ops)
    return text.getvalue()


def _action(op: Op, stages: list[int]) -> str:
    def name(kind: OpKind, chunk: Chunk) -> str:
        return f"{stages[chunk.slot]}{kind}{chunk.microbatch}"

    if op.forward and op.backward:
        return f"({name(OpKind.F, op.forward)};{name(OpKind.B, op.backward)})OVERLAP_F_B"
    return name(op.kind, op.chunk)
