"""A pair of chunks as a trace for Perfetto (ui.perfetto.dev): its parts on two tracks, and below them the blocks of its kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from torch import Tensor

from dualpipe_ref.hopper.kernel_records import KernelBlock, KernelRecords, recording
from dualpipe_ref.hopper.kernel_trace import kernel_trace
from dualpipe_ref.hopper.replay import Launch, Listening
from dualpipe_ref.plot.trace import PROCESS, TraceEvent, metadata
from dualpipe_ref.simulate.lanes import Lane, PairRun, Piece

# Threads of a trace, with numbers beyond those of any SM's; they are shown above them.
TRACKS = {Lane.COMPUTE: 1 << 20, Lane.NETWORK: (1 << 20) + 1}


class Recording(Listening):
    """A transport whose kernels write down where and when they run, each launch for itself, while `is_on`."""

    is_on = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.records: list[KernelRecords] = []

    def launch(
        self,
        kernel: Callable[..., Any],
        plan: Any,
        *,
        blocks: int,
        threads: int,
        tensors: Sequence[Tensor],
        element: ModuleType | None = None,
    ) -> None:
        step: Any = Launch(kernel, plan, blocks, threads, list(tensors), element)
        if self.is_on:
            (step,), found = recording([step], len(self.ranks), self.lanes)
            self.records += found
        self.inner.launch(
            kernel,
            step.plan,
            blocks=blocks,
            threads=threads,
            tensors=step.tensors,
            element=element,
        )

    def zero(self, first: int, size: int) -> None:
        self.inner.zero(first, size)

    def kernel_blocks(self) -> list[KernelBlock]:
        """All blocks since the records were cleared."""
        return [block for one in self.records for block in one.kernel_blocks()]


def chunk_trace(run: PairRun, blocks: Sequence[KernelBlock], *, name: str) -> dict[str, Any]:
    """The trace, ready for `plot.trace.write_events`; timestamps are microseconds from the first part on.

    Parts have times of events and blocks those of the GPU's clock. The two are put together where the first block begins:
    at the begin of the first exchange. So blocks may lie too early by what a launch takes, some ten microseconds, all of
    them alike. Without blocks the parts are there alone.
    """
    events = [*_parts(run)]
    if blocks:
        first = min(start for piece, (start, _) in run.spans.items() if piece.lane is Lane.NETWORK)
        below = kernel_trace(blocks)["traceEvents"]
        events += [
            _later(one, 1e6 * float(first)) for one in below if one["name"] != "process_name"
        ]
    events.sort(key=lambda one: (one["ph"] != "M", one["ts"]))
    return {
        "traceEvents": [metadata("process_name", 0, name=name), *events],
        "displayTimeUnit": "ns",
        "otherData": {"source": "events around parts, records of kernels", "unit": "us"},
    }


def _parts(run: PairRun) -> Iterator[TraceEvent]:
    for place, (lane, track) in enumerate(TRACKS.items()):
        yield metadata("thread_name", track, name=str(lane))
        yield metadata("thread_sort_index", track, sort_index=place - len(TRACKS))
    for piece, (began, ended) in run.spans.items():
        yield {
            "ph": "X",
            "name": str(piece),
            "cat": str(piece.kind),
            "pid": PROCESS,
            "tid": TRACKS[piece.lane],
            "ts": 1e6 * float(began),
            "dur": 1e6 * float(ended - began),
            "args": _words(piece),
        }


def _words(piece: Piece) -> dict[str, Any]:
    return {"part": str(piece.part), "kind": str(piece.kind), "layer": piece.layer}


def _later(event: TraceEvent, shift: float) -> TraceEvent:
    return event if event["ph"] == "M" else {**event, "ts": event["ts"] + shift}
