"""One worker as its parent sees it: whether it runs, when and why it failed, and what it says. Standard library only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from dualpipe_ref.train import guard

# A process that is killed takes its connections along, and others fail by that before we see it dead.
_HEAD_START = 0.5
_KILLED = {
    getattr(signal, name)
    for name in ("SIGKILL", "SIGSEGV", "SIGBUS", "SIGILL")
    if hasattr(signal, name)
}
_LONGEST = 400  # characters of a line that a message quotes


class WorkerProcess:
    """Started by its constructor. `failed_at` (monotonic seconds), `status` and `message` hold once it has failed."""

    def __init__(
        self, rank: int, module: str, arguments: Sequence[str], environment: dict[str, str]
    ) -> None:
        self.rank = rank
        self.failed_at: float | None = None
        self.status = 0
        self.message = ""
        self._last_line = ""
        self._told: tuple[float, str] | None = None
        self._stopped_since: float | None = None
        self._is_ended_by_us = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", guard.__name__, module, *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=None if rank == 0 else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self._process.stderr
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stderr,), daemon=True
        )
        self._reader.start()

    def is_running(self) -> bool:
        """Whether the process is there; the first look after its end notes how it ended."""
        code = self._process.poll()
        if code is not None and self.failed_at is None and code != 0 and not self._is_ended_by_us:
            self._note_exit(code)
        return code is None

    def has_failed(self, stopped: float) -> bool:
        """Whether it ended with an error, or has been stopped by a signal for so many seconds."""
        if self.is_running() and self.failed_at is None:
            self._look_whether_stopped(stopped)
        return self.failed_at is not None

    def send(self, number: int) -> None:
        """A signal from the parent: how the process ends from now on is no failure of its own."""
        self._is_ended_by_us = True
        if self._process.poll() is None:
            self._process.send_signal(number)

    def finish(self) -> None:
        """After its end: read what is left of what it wrote, and complete the message."""
        self._process.wait()
        self._reader.join(timeout=1)  # a process that it started may hold the pipe open
        if not self._reader.is_alive() and self._process.stderr:
            self._process.stderr.close()
        if self._told is not None and self.failed_at is not None:
            self.failed_at = min(self.failed_at, self._told[0])
        why = self._told[1] if self._told else self._last_line
        if self.message and why and not self.message.endswith(why):
            self.message += f": {why[:_LONGEST]}"

    def _note_exit(self, code: int) -> None:
        self.failed_at = time.monotonic()
        if code > 0:
            self.status, self.message = code, f"rank {self.rank} ended with exit code {code}"
        else:
            self.status, self.message = 1, f"rank {self.rank} was killed by {_name(-code)}"
            if -code in _KILLED:
                self.failed_at -= _HEAD_START

    def _look_whether_stopped(self, seconds: float) -> None:
        if not hasattr(os, "waitid"):
            return
        options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        try:
            found = os.waitid(os.P_PID, self._process.pid, options)
        except ChildProcessError:
            return
        if found is None:
            self._stopped_since = None
            return
        if self._stopped_since is None:
            self._stopped_since = time.monotonic()
        if time.monotonic() - self._stopped_since >= seconds:
            self.failed_at, self.status = self._stopped_since, 1
            self.message = f"rank {self.rank} was stopped by {_name(found.si_status)}"

    def _read(self, stream: IO[str]) -> None:
        """Pass stderr on; keep the last line that is no part of a traceback's indented body."""
        for line in stream:
            if line.startswith(guard.MARK):
                when, _, why = line.removeprefix(guard.MARK).strip().partition(" ")
                self._told = float(when), why
                continue
            if line.strip() and not line[0].isspace():
                self._last_line = line.strip()
            # A whole line in one piece, also where the process died in it: other ranks' lines come by other threads.
            whole = line if line.endswith("\n") else f"{line}\n"
            sys.stderr.write(whole if self.rank == 0 else f"[rank {self.rank}] {whole}")
            sys.stderr.flush()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
