"""The worker of timed devices with a planted fault: rank 1 takes twice its costs, which the simulator does not know of."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.bench import timed_worker
from dualpipe_ref.runtime.executor import Executor
from dualpipe_ref.runtime.timed import timed_executor
from dualpipe_ref.schedule import Schedule


def slow(schedule: Schedule, rank: int, *rest: Any) -> Executor:
    executor = timed_executor(schedule, rank, *rest)
    if rank == 1:
        executor.worker.durations = [2 * one for one in executor.worker.durations]
    return executor


if __name__ == "__main__":
    timed_worker.timed_executor = slow
    timed_worker.main()
