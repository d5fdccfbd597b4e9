"""One process of schedules on timed devices, started by `train.launch`.

A loaded machine wakes a process late. So a case is run again until its makespan is within GOOD of the simulator's, up to
STEPS times, and all makespans are told; with GOOD 0 it is run STEPS times.

Usage: python -m dualpipe_ref.bench.timed_worker FOLDER UNIT_NS STEPS GOOD CASES
where CASES are such as dualpipe:20:2.2,gpipe:20 (kind, m, FB). Rank 0 writes FOLDER/found.json, one object a case, and
each recorded run as FOLDER/CASE.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from dualpipe_ref.runtime.recorded import RecordedRun, order_violations, write_run
from dualpipe_ref.runtime.timed import timed_executor
from dualpipe_ref.runtime.trace import RunTrace, bubble, recording_share
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, Timeline, simulate

TIMEOUT = timedelta(seconds=60)


def parsed(case: str) -> tuple[str, int, Costs]:
    """Kind, micro-batches and costs of a case.

    >>> parsed("dualpipe:20:2.2")[:2], parsed("gpipe:8")[2].of("FB") is None
    (('dualpipe', 20), False)
    """
    kind, m, *overlap = case.split(":")
    return kind, int(m), Costs(FB=float(overlap[0]) if overlap else None)


def run_path(folder: Path, case: str) -> Path:
    """Where the recorded run of a case lies."""
    return folder / f"{case.replace(':', '-')}.json"


def run(case: str, unit: float, steps: int, good: float, folder: Path) -> dict[str, Any] | None:
    """Up to `steps` steps of one case; what rank 0 tells of them, None on the others."""
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    kind, microbatches, costs = parsed(case)
    schedule = build(kind, ranks, microbatches)
    wanted = simulate(schedule, costs)
    executor = timed_executor(schedule, rank, costs, unit)
    trace = RunTrace(executor)
    differences: list[float] = []
    found: RecordedRun | None = None
    for _ in range(steps):
        torch.distributed.barrier()
        executor.step()
        trace.add_step()
        found = trace.gather({"case": case})
        again = [found is not None and not _is_good(found, wanted, unit, differences, good)]
        torch.distributed.broadcast_object_list(again)
        if not again[0]:
            break
    if found is None:
        return None
    write_run(found, run_path(folder, case))
    best = min(range(len(differences)), key=lambda place: abs(differences[place]))
    return {
        "case": case,
        "differences": differences,
        "order": [str(one) for step in found.steps for one in order_violations(step, schedule)],
        "bubbles": [bubble(found.steps[best].timeline(schedule)), bubble(wanted)],
        "recording": recording_share(executor.recorder),
    }


def _is_good(
    found: RecordedRun, wanted: Timeline, unit: float, differences: list[float], good: float
) -> bool:
    """Note how far the last step is from the time that it should take, and say whether that is near enough."""
    makespan = found.steps[-1].timeline(found.schedule).makespan
    differences.append(float(makespan / (wanted.makespan * unit) - 1))
    return abs(differences[-1]) <= good


def ask_for_priority() -> None:
    """Where it is allowed, be woken before whatever else runs on the machine; what sleeps takes nothing away from it."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    """Run all cases."""
    folder, unit, steps = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    good, cases = float(sys.argv[4]), sys.argv[5].split(",")
    torch.set_num_threads(1)
    ask_for_priority()  # before there are threads that inherit it
    torch.distributed.init_process_group("gloo", timeout=TIMEOUT)
    told = [run(case, unit, steps, good, folder) for case in cases]
    if torch.distributed.get_rank() == 0:
        (folder / "found.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
