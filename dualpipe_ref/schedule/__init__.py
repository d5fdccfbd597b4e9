"""What each rank does, in which order. Standard library only, so that it also runs in a browser."""

from __future__ import annotations

from collections.abc import Callable

from dualpipe_ref.schedule.chimera import chimera
from dualpipe_ref.schedule.dualpipe import dualpipe
from dualpipe_ref.schedule.dualpipev import dualpipev
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.gpipe import gpipe
from dualpipe_ref.schedule.interleaved import interleaved
from dualpipe_ref.schedule.ir import (
    Batch,
    Chunk,
    Message,
    Op,
    OpKind,
    Payload,
    Placement,
    Schedule,
)
from dualpipe_ref.schedule.kinds import KINDS, slots_of
from dualpipe_ref.schedule.one_f_one_b import one_f_one_b
from dualpipe_ref.schedule.zero_bubble import zb_h1, zb_v

BUILDERS: dict[str, Callable[..., Schedule]] = {
    "gpipe": gpipe,
    "1f1b": one_f_one_b,
    "interleaved": interleaved,
    "zb-h1": zb_h1,
    "zb-v": zb_v,
    "chimera": chimera,
    "dualpipe": dualpipe,
    "dualpipev": dualpipev,
}


def build(kind: str, ranks: int, microbatches: int, chunks: int | None = None) -> Schedule:
    """The schedule of this name; `chunks` is the stages a rank, open in interleaved only (default 2).

    >>> build("dualpipe", ranks=8, microbatches=20)
    Schedule('dualpipe', P=8, m=20, 282 ops, 280 messages)
    """
    slots = slots_of(kind, chunks)
    if kind == "interleaved":
        return interleaved(ranks, microbatches, slots)
    return BUILDERS[kind](ranks, microbatches)


__all__ = [
    "BUILDERS",
    "KINDS",
    "Batch",
    "Chunk",
    "InputError",
    "Message",
    "Op",
    "OpKind",
    "Payload",
    "Placement",
    "Schedule",
    "build",
    "chimera",
    "dualpipe",
    "dualpipev",
    "gpipe",
    "interleaved",
    "one_f_one_b",
    "zb_h1",
    "zb_v",
]
