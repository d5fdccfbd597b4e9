"""One process of schedules on timed devices; rank 0 says, for each, how far the makespan is from the simulator's.

A loaded machine wakes a process late. So a case that is not within `GOOD` is run again, up to ATTEMPTS times, and all
makespans are said. A fault doubles the costs of rank 1, which the simulator does not know of.

Usage: python -m tests.test_runtime.timed_worker RANK RANKS FOLDER UNIT_NS CASES [slow|swapped]
where CASES are such as dualpipe:20:2.2,gpipe:20 (kind, m, FB). Writes FOLDER/KIND.json, the recorded run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed

from dualpipe_ref.runtime.recorded import RecordedRun, order_violations, write_run
from dualpipe_ref.runtime.timed import timed_executor
from dualpipe_ref.runtime.trace import RunTrace, bubble, recording_share
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, simulate

ATTEMPTS, GOOD = 3, 0.02


def parsed(case: str) -> tuple[str, int, Costs]:
    kind, m, *overlap = case.split(":")
    return kind, int(m), Costs(FB=float(overlap[0]) if overlap else None)


def run(case: str, rank: int, ranks: int, unit: float, folder: Path, fault: str) -> None:
    kind, microbatches, costs = parsed(case)
    schedule = build(kind, ranks, microbatches)
    wanted = simulate(schedule, costs)
    executor = timed_executor(schedule, rank, costs, unit)
    if fault == "slow" and rank == 1:
        executor.worker.durations = [2 * one for one in executor.worker.durations]
    trace = RunTrace(executor)
    differences: list[float] = []
    for _ in range(ATTEMPTS):
        torch.distributed.barrier()
        executor.step()
        trace.add_step()
        found = trace.gather({"case": case})
        again = [found is not None and not judged(found, wanted.makespan * unit, differences)]
        torch.distributed.broadcast_object_list(again)
        if not again[0]:
            break
    if found is None:
        return
    best = min(range(len(differences)), key=lambda place: abs(differences[place]))
    step = found.steps[best]
    said = {
        "case": case,
        "differences": differences,
        "order": [str(one) for step in found.steps for one in order_violations(step, schedule)],
        "bubbles": [bubble(step.timeline(schedule)), bubble(wanted)],
        "recording": recording_share(executor.recorder),
        "clock_errors": found.clock_errors,
    }
    print(json.dumps(said), flush=True)
    write_run(found, folder / f"{case.replace(':', '-')}.json")


def judged(found: RecordedRun, wanted: float, differences: list[float]) -> bool:
    """Whether the last step took the time that it should."""
    timeline = found.steps[-1].timeline(found.schedule)
    differences.append(float(timeline.makespan / wanted - 1))
    return abs(differences[-1]) <= GOOD


def ask_for_priority() -> None:
    """Where it is allowed, be woken before whatever else runs on the machine; what sleeps takes nothing away from it."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    rank, ranks = map(int, sys.argv[1:3])
    folder, unit, cases = Path(sys.argv[3]), float(sys.argv[4]), sys.argv[5].split(",")
    fault = sys.argv[6] if len(sys.argv) > 6 else ""
    torch.set_num_threads(1)
    ask_for_priority()  # before there are threads that inherit it
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        timeout=timedelta(seconds=60),
        rank=rank,
        world_size=ranks,
    )
    for case in cases:
        run(case, rank, ranks, unit, folder, fault)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
