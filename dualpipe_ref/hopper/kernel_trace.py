"""A timeline of kernels for Perfetto (ui.perfetto.dev) or chrome://tracing: a track for each SM, a slice for each block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.hopper.kernel_records import KernelBlock
from dualpipe_ref.plot.trace import PROCESS, TraceEvent, metadata, write_events
from dualpipe_ref.schedule.errors import InputError

# More blocks than an SM of any GPU has at once.
TRACKS_OF_SM = 64


class Placed(NamedTuple):
    """A block and its track among those of its SM."""

    block: KernelBlock
    track: int


def kernel_trace(blocks: Sequence[KernelBlock], *, name: str = "one GPU") -> dict[str, Any]:
    """The trace of what blocks wrote down, of any number of launches by one GPU's clock, ready for `json.dumps`.

    Timestamps are microseconds from the first begin on. Blocks that share an SM at the same time lie on tracks beside one
    another: "SM 3", "SM 3, beside". What wrote no records, such as torch's matmuls, is not there. Raises `InputError`
    without blocks.

    >>> from dualpipe_ref.hopper.sm_map import Ran
    >>> trace = kernel_trace([KernelBlock("direct_dispatch.dispatch", 0, 5, Ran(3, 1000, 3500))])
    >>> [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"]
    ['SM 3']
    >>> [(event["name"], event["ts"], event["dur"]) for event in trace["traceEvents"] if event["ph"] == "X"]
    [('direct_dispatch.dispatch', 0.0, 2.5)]
    """
    if not blocks:
        raise InputError("a timeline of kernels has a block", "none")
    placed = list(_placed(blocks))
    first = min(one.ran.began for one in blocks)
    slices = [_slice(one, first) for one in placed]
    return {
        "traceEvents": [*_names(placed, name), *sorted(slices, key=lambda one: one["ts"])],
        "displayTimeUnit": "ns",
        "otherData": {"source": "records of kernels", "began": first, "unit": "ns"},
    }


def write_kernel_trace(
    blocks: Sequence[KernelBlock], path: str | os.PathLike[str], *, name: str = "one GPU"
) -> None:
    """Write the trace to `path`: the whole file appears at once, or (on an error) nothing changes."""
    write_events(kernel_trace(blocks, name=name), Path(path))


def _placed(blocks: Sequence[KernelBlock]) -> Iterator[Placed]:
    """Each block on the first track of its SM that is free when it begins: slices of one track never overlap."""
    free: dict[int, list[int]] = {}
    for one in sorted(blocks, key=lambda one: (one.ran.began, one.ran.ended)):
        ends = free.setdefault(one.ran.sm, [])
        track = next((at for at, end in enumerate(ends) if end <= one.ran.began), len(ends))
        if track == TRACKS_OF_SM:
            raise InputError(
                "an SM has so many blocks at once", f"more on SM {one.ran.sm}", f"{TRACKS_OF_SM}"
            )
        ends[track : track + 1] = [one.ran.ended]
        yield Placed(one, track)


def _thread(one: Placed) -> int:
    return one.block.ran.sm * TRACKS_OF_SM + one.track


def _names(placed: Sequence[Placed], name: str) -> Iterator[TraceEvent]:
    yield metadata("process_name", 0, name=name)
    for thread in sorted({_thread(one) for one in placed}):
        sm, track = divmod(thread, TRACKS_OF_SM)
        yield metadata("thread_name", thread, name=f"SM {sm}{', beside' if track else ''}")
        yield metadata("thread_sort_index", thread, sort_index=thread)


def _slice(one: Placed, first: int) -> TraceEvent:
    kernel, rank, block, (sm, began, ended) = one.block
    return {
        "ph": "X",
        "name": kernel,
        "cat": "kernel",
        "pid": PROCESS,
        "tid": _thread(one),
        "ts": (began - first) / 1e3,
        "dur": (ended - began) / 1e3,
        "args": {"rank": rank, "block": block, "sm": sm, "began": began, "ended": ended},
    }
