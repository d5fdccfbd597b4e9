"""A timeline as a trace file for Perfetto (ui.perfetto.dev) or chrome://tracing.

The format is the JSON trace event format: one process for the run, one thread a rank, a slice an
op, an arrow a message, and a counter a rank for what it holds. Standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.schedule.ir import Batch, Chunk, Message, Op, OpKind, Payload, Placement, Schedule
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.memory import over_time
from dualpipe_ref.simulate.timeline import Span, Timeline

TraceEvent = dict[str, Any]
_Key = tuple[Payload, int, int, int]  # payload, direction, stage and micro-batch of a chunk

MICROSECONDS: dict[str, Fraction] = {
    "": Fraction(1000),
    "s": Fraction(1_000_000),
    "ms": Fraction(1000),
    "us": Fraction(1),
    "ns": Fraction(1, 1000),
}
PROCESS = 1


def trace_events(timeline: Timeline, *, name: str | None = None) -> dict[str, Any]:
    """The trace of a run, ready for `json.dumps`; `name` is shown for the whole run.

    Timestamps are microseconds: exact for timelines in s, ms, us or ns; one unit of any other is
    1000 us. Raises `InputError` where a message comes from no op or reaches none.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> trace = trace_events(simulate(build("1f1b", ranks=2, microbatches=1)))
    >>> for event in trace["traceEvents"]:
    ...     if event["ph"] == "X":
    ...         print(event["name"], event["tid"], event["ts"], event["dur"])
    F0.0 0 0 1000
    F0.0 1 1000 1000
    B0.0 1 2000 2000
    B0.0 0 4000 2000
    """
    factor = MICROSECONDS.get(timeline.unit, MICROSECONDS[""])

    def microseconds(time: Number) -> int | float:
        if isinstance(time, float):
            return time * float(factor)
        exact = time * factor
        return exact.numerator if exact.denominator == 1 else float(exact)

    events = [
        *_slices(timeline, microseconds),
        *_flows(timeline, microseconds),
        *_counters(timeline, microseconds),
    ]
    # A slice comes before the arrows and counters of the same moment, so that they find it open.
    events.sort(key=lambda event: (event["ts"], "XfsC".index(event["ph"])))
    schedule = timeline.schedule
    run = name or f"{schedule.kind}, P = {schedule.ranks}, m = {schedule.microbatches}"
    return {
        "traceEvents": [*_names(schedule, run), *events],
        "displayTimeUnit": "ms",
        "otherData": {"source": timeline.source, "unit": timeline.unit},
    }


def write_trace(
    timeline: Timeline, path: str | os.PathLike[str], *, name: str | None = None
) -> None:
    """Write the trace to `path`: the whole file appears at once, or (on an error) nothing changes.

    >>> import tempfile
    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_trace(simulate(build("gpipe", 2, 2)), Path(folder) / "run.json")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['run.json']
    """
    write_events(trace_events(timeline, name=name), Path(path))


def write_events(trace: dict[str, Any], path: Path) -> None:
    """Write any trace to `path`, whole or not at all."""
    write_text(path, json.dumps(trace, separators=(",", ":"), allow_nan=False) + "\n")


def metadata(kind: str, thread: int, **args: object) -> TraceEvent:
    """What a viewer is told of the run or of one of its threads: `kind` is such as "thread_name"."""
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": thread, "ts": 0, "args": args}


def _names(schedule: Schedule, run: str) -> Iterator[TraceEvent]:
    yield metadata("process_name", 0, name=run)
    for rank in range(schedule.ranks):
        yield metadata("thread_name", rank, name=f"rank {rank}")
        yield metadata("thread_sort_index", rank, sort_index=rank)


def _slices(timeline: Timeline, us: Callable[[Number], int | float]) -> Iterator[TraceEvent]:
    for rank, spans in enumerate(timeline.spans):
        for op, start, end in spans:
            yield {
                "ph": "X",
                "name": str(op),
                "cat": str(op.kind),
                "pid": PROCESS,
                "tid": rank,
                "ts": us(start),
                "dur": us(end) - us(start),
                "args": {"kind": str(op.kind), **_chunks(op, rank, timeline.schedule.placement)},
            }


def _chunks(op: Op, rank: int, placement: Placement) -> dict[str, Any]:
    """What the op works on; an FB has one of these for each half."""
    if op.forward and op.backward:
        return {
            "forward": _chunk(op.forward, rank, placement),
            "backward": _chunk(op.backward, rank, placement),
        }
    chunk = op.forward or op.backward
    return _chunk(chunk, rank, placement) if chunk else {}


def _chunk(chunk: Chunk, rank: int, placement: Placement) -> dict[str, int]:
    direction, stage = placement.homes[rank][chunk.slot]
    return {
        "slot": chunk.slot,
        "direction": direction,
        "stage": stage,
        "microbatch": chunk.microbatch,
    }


def _flows(timeline: Timeline, us: Callable[[Number], int | float]) -> Iterator[TraceEvent]:
    """An arrow a message, from the op that made it to the op that needs it.

    Its ends lie a sixteenth inside the two slices: at their very edges the viewers would bind them
    to the neighbours.
    """
    ops = _ops_by_chunk(timeline)
    for number, message in enumerate(_messages(timeline.schedule)):
        step = 1 if message.payload is Payload.ACTIVATION else -1
        key = (message.payload, message.direction, message.stage, message.microbatch)
        source = ops.get(key)
        target = ops.get((key[0], key[1], key[2] + step, key[3]))
        if source is None or target is None:
            raise InputError(
                "a message goes from one op to another", f"the {message} has no such ops"
            )
        edges = (
            ("s", message.source, source.end - _sixteenth(source)),
            ("f", message.destination, target.start + _sixteenth(target)),
        )
        for phase, rank, time in edges:
            flow = {"ph": phase, "name": str(message.payload), "cat": "message", "id": number}
            where = {"pid": PROCESS, "tid": rank, "ts": us(time), "args": {"message": str(message)}}
            yield {**flow, **where, **({"bp": "e"} if phase == "f" else {})}


def _sixteenth(span: Span) -> Number:
    width = span.end - span.start
    return width / 16 if isinstance(width, float) else Fraction(width, 16)


def _messages(schedule: Schedule) -> Iterator[Message]:
    """Each message once, where it is sent."""
    for rank, program in enumerate(schedule.programs):
        for event in program:
            if isinstance(event, Batch):
                yield from (message for message in event.messages if message.source == rank)


def _ops_by_chunk(timeline: Timeline) -> dict[_Key, Span]:
    """The op that makes a chunk's output, and so needs what the stage before it sent."""
    ops: dict[_Key, Span] = {}
    for rank, spans in enumerate(timeline.spans):
        homes = timeline.schedule.placement.homes[rank]
        for span in spans:
            forward, backward = span.op.forward, span.op.backward
            if forward:
                ops[Payload.ACTIVATION, *homes[forward.slot], forward.microbatch] = span
            if backward and span.op.kind is not OpKind.W:
                ops[Payload.GRADIENT, *homes[backward.slot], backward.microbatch] = span
    return ops


def _counters(timeline: Timeline, us: Callable[[Number], int | float]) -> Iterator[TraceEvent]:
    for rank, levels in enumerate(over_time(timeline)):
        for level in levels:
            yield {
                "ph": "C",
                "name": f"chunks held, rank {rank}",
                "pid": PROCESS,
                "tid": rank,
                "ts": us(level.time),
                "args": {"chunks": level.held},
            }
