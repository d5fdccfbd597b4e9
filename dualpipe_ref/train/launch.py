"""Start one process a rank on this machine, watch them, and end them all when one fails. Standard library only."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.train import guard
from dualpipe_ref.train.ports import port_for_run
from dualpipe_ref.train.worker_process import WorkerProcess

GRACE = 20.0  # seconds for the others to end with a message of their own
TERMINATE = 3.0  # seconds between SIGTERM and SIGKILL
STOPPED = 5.0  # seconds that a worker may stand still in the hands of a signal
_LOOK = 0.02  # seconds between two looks at the workers
_OTHERS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Outcome(NamedTuple):
    """How a run ended: the exit status for the shell, and, unless it is 0, one line that names who failed and why."""

    status: int
    message: str = ""


def launched_by_others() -> bool:
    """Whether torchrun, or something like it, has started this process as one of several."""
    return all(name in os.environ for name in _OTHERS)


def launch(
    module: str,
    arguments: Sequence[str],
    processes: int,
    *,
    port: int | None = None,
    grace: float = GRACE,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Run `python -m MODULE ARGUMENTS` in `processes` processes and wait for all of them.

    Each finds RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT in its environment (beside
    `environment`). Under torchrun nothing is started: the module runs in this process. Output of rank 0 passes through; of the others only lines of their stderr do, after their rank.

    When one fails (or is stopped by a signal for 5 s), the others have `grace` seconds; then they get SIGTERM, and 3 s
    later SIGKILL. SIGINT, SIGTERM and SIGHUP to this process end all of them; its death kills them. Raises `InputError`
    if the port is in use, or if torchrun has started another number of processes.
    """
    require_int("processes", processes, 1)
    if launched_by_others():
        return _in_place(module, arguments, processes)
    chosen = port_for_run(port)
    with _Signals() as signals:
        workers: list[WorkerProcess] = []
        try:
            for rank in range(processes):
                given = _environment(rank, processes, chosen) | (environment or {})
                workers.append(WorkerProcess(rank, module, arguments, given))
            _watch(workers, signals, grace)
        finally:
            _end(workers, signals)
    return _outcome(workers, signals)


def _in_place(module: str, arguments: Sequence[str], processes: int) -> Outcome:
    """As one of the processes that others have started; an error goes up to them."""
    if int(os.environ["WORLD_SIZE"]) != processes:
        raise InputError(
            "torchrun starts as many processes as the run has",
            f"WORLD_SIZE = {os.environ['WORLD_SIZE']} for {processes} processes",
            f"WORLD_SIZE = {processes}",
        )
    before, sys.argv = sys.argv, [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
    return Outcome(0)


def _environment(rank: int, processes: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # As torchrun does: processes that share cores gain nothing from threads.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        guard.PARENT: str(os.getpid()),
    }


def _watch(workers: Sequence[WorkerProcess], signals: _Signals, grace: float) -> None:
    """Return when all have ended, when a signal asks for the end, or `grace` seconds after the first failure."""
    deadline = None
    while any(worker.is_running() for worker in workers) and not signals.received:
        if deadline is None and any(worker.has_failed(STOPPED) for worker in workers):
            deadline = time.monotonic() + grace
        if deadline is not None and time.monotonic() > deadline:
            return
        time.sleep(_LOOK)


def _end(workers: Sequence[WorkerProcess], signals: _Signals) -> None:
    """SIGTERM, then SIGKILL, to all that still run; a second control-C does not wait."""
    running = [worker for worker in workers if worker.is_running()]
    asked = len(signals.received)
    for worker in running:
        worker.send(signal.SIGTERM)
    deadline = time.monotonic() + TERMINATE
    while any(worker.is_running() for worker in running):
        if time.monotonic() > deadline or len(signals.received) > asked:
            for worker in running:
                worker.send(signal.SIGKILL)
        time.sleep(_LOOK)
    for worker in workers:
        worker.finish()


def _outcome(workers: Sequence[WorkerProcess], signals: _Signals) -> Outcome:
    if signals.received:
        name = signal.Signals(signals.received[0]).name
        text = "interrupted" if name == "SIGINT" else f"ended by {name}"
        return Outcome(128 + signals.received[0], text)
    failed = [worker for worker in workers if worker.failed_at is not None]
    if not failed:
        return Outcome(0)
    first = min(failed, key=lambda worker: worker.failed_at or 0.0)
    return Outcome(first.status, first.message)


class _Signals:
    """Notes SIGINT, SIGTERM and SIGHUP in place of what they would do; does nothing outside of the main thread."""

    _CAUGHT = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self.received: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in self._CAUGHT:
                # What is ignored stays ignored: so nohup works.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _note(self, number: int, frame: object) -> None:
        self.received.append(number)
