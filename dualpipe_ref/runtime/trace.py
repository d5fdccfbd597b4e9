"""Record what the steps of an executor did, on all ranks, as one run.

    pipeline = Pipeline(...)
    trace = RunTrace(pipeline.executor)       # all ranks: compares their clocks
    for step in range(steps):
        pipeline.step(inputs, targets)
        trace.add_step()                      # each rank: keeps what its recorder noted, sends nothing
    run = trace.write("run.json", settings)   # all ranks; rank 0 writes the file and has the run, others get None

Then `run.timelines()` are the steps as `Timeline`s, which every plot and `plot.trace.write_trace` take, `bubble` is the
idle share of one, and `dualpipe-ref compare-trace run.json` compares the run with the simulator. A barrier before a
step lets all ranks begin it together; without one, times count from the first op of the earliest rank all the same.
Times are those of the host: on a GPU, whose work goes on after the call returns, they are times of launches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch.distributed

from dualpipe_ref.runtime.clocks import Offset, measure_offsets
from dualpipe_ref.runtime.executor import Executor
from dualpipe_ref.runtime.point_to_point import PointToPoint
from dualpipe_ref.runtime.recorded import Passage, RecordedRun, RecordedStep, write_run
from dualpipe_ref.runtime.recorder import Recorder
from dualpipe_ref.schedule import InputError, Message, Op
from dualpipe_ref.simulate import Timeline


class Noted(NamedTuple):
    """One rank's step by its own clock, and how often clocks had been compared before it."""

    ops: list[tuple[Op, int, int]]
    sends: list[tuple[Message, int]]
    receives: list[tuple[Message, int, int]]
    comparison: int


class RunTrace:
    """The steps of one pipeline, recorded. All ranks make it and call its methods together."""

    def __init__(self, executor: Executor) -> None:
        if not isinstance(executor.wires, PointToPoint):
            raise InputError(
                "the clocks of processes are compared over their wires",
                f"{type(executor.wires).__name__}",
                "OneProcess.recorded(), where one clock is enough",
            )
        self.executor, self._wires = executor, executor.wires
        self._steps: list[Noted] = []
        self._offsets: list[list[Offset]] = []
        self.compare_clocks()

    def compare_clocks(self) -> None:
        """Measure the offsets of all clocks anew, for the steps from here on: clocks drift in a long run."""
        wires = self._wires
        clock = self.executor.recorder.clock
        self._offsets.append(measure_offsets(clock, wires.group, wires.device))

    def add_step(self) -> None:
        """Keep the step that has just ended. It costs one list entry: nothing is copied or sent."""
        noted = self.executor.recorder
        comparison = len(self._offsets) - 1
        self._steps.append(Noted(noted.ops, noted.sends, noted.receives, comparison))

    def gather(self, settings: Mapping[str, Any] | None = None) -> RecordedRun | None:
        """The run so far, by the clock of rank 0; there alone, None on the other ranks."""
        group, is_first = self._wires.group, self.executor.rank == 0
        ranks = torch.distributed.get_world_size(group)
        steps: list[list[Noted]] | None = [[] for _ in range(ranks)] if is_first else None
        torch.distributed.gather_object(self._steps, steps, group=group, group_dst=0)
        if steps is None:
            return None
        errors = [max(one.error for one in rank) for rank in zip(*self._offsets, strict=True)]
        return RecordedRun(
            self.executor.schedule,
            tuple(
                merged(one, self._offsets[one[0].comparison]) for one in zip(*steps, strict=True)
            ),
            dict(settings or {}),
            tuple(errors),
        )

    def write(
        self, path: str | Path, settings: Mapping[str, Any] | None = None
    ) -> RecordedRun | None:
        """`gather`, and rank 0 writes the run to `path`; see `recorded.write_run`."""
        run = self.gather(settings)
        if run is not None:
            write_run(run, path)
        return run


def merged(noted: Sequence[Noted], offsets: Sequence[Offset]) -> RecordedStep:
    """One step from what each rank noted by its own clock."""
    shifts = [round(one.offset) for one in offsets]
    first = min(rank.ops[0][1] - shift for rank, shift in zip(noted, shifts, strict=True))
    shifts = [shift + first for shift in shifts]
    sent = {
        message: when - shift
        for rank, shift in zip(noted, shifts, strict=True)
        for message, when in rank.sends
    }
    passages = [
        # Nothing is there before it is sent: what little says so is the error of the clocks.
        Passage(message, min(sent[message], here - shift), asked - shift, here - shift)
        for rank, shift in zip(noted, shifts, strict=True)
        for message, asked, here in rank.receives
    ]
    times = [
        [(op, start - shift, end - shift) for op, start, end in rank.ops]
        for rank, shift in zip(noted, shifts, strict=True)
    ]
    return RecordedStep(
        tuple(tuple(op for op, _, _ in rank) for rank in times),
        tuple(tuple(start for _, start, _ in rank) for rank in times),
        tuple(tuple(end for _, _, end in rank) for rank in times),
        tuple(passages),
    )


def bubble(timeline: Timeline) -> float:
    """The share of all ranks' time, from the first op to the makespan, in which they run no op.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> bubble(simulate(build("gpipe", 4, 12)))
    0.2
    """
    return float(sum(timeline.idle) / (timeline.schedule.ranks * timeline.makespan))


def recording_time(recorder: Recorder, repeats: int = 20_000) -> float:
    """How long the recorder's own work of its last step takes, in ns: the cost of one entry, measured now, times their number.

    An op and a receive cost two readings of the clock and an entry, a send at most one of each.
    """
    entries = len(recorder.ops) + len(recorder.receives) + len(recorder.sends)
    clock, kept = recorder.clock, []
    began = time.perf_counter_ns()
    for _ in range(repeats):
        asked = clock()
        kept.append((recorder, asked, clock()))
    return entries * (time.perf_counter_ns() - began) / repeats


def recording_share(recorder: Recorder) -> float:
    """`recording_time` as a share of the last step, from the rank's first op to its last."""
    return recording_time(recorder) / (recorder.ops[-1][2] - recorder.ops[0][1])
