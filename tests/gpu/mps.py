"""NVIDIA's MPS for a while: with it, processes that share a GPU run on it at the same time, instead of by turns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

CONTROL = "nvidia-cuda-mps-control"
SERVER = "nvidia-cuda-mps-server"
QUIT_SECONDS = 5.0
# A process that uses the GPU: with the first one the daemon starts the server.
PROBE = (sys.executable, "-c", "import torch; torch.ones(1, device='cuda').add_(1).cpu()")


class NoMps(Exception):  # noqa: N818 - a state, like Python's StopIteration
    """MPS does not run here; the message says why not."""


@contextmanager
def mps(*, seconds: float = 30, probe: Sequence[str] = PROBE) -> Iterator[dict[str, str]]:
    """A control daemon of our own, in folders of its own. Gives the variables of the environment that its clients need.

    Raises `NoMps` where there is no such program, or it refuses, hangs, or no process reaches the GPU by it; each of these
    may take `seconds`. Afterwards daemon and server have ended, whatever happened.
    """
    program = shutil.which(CONTROL)
    if program is None:
        raise NoMps(f"there is no {CONTROL} here")
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp") as name:
        folder = Path(name)
        pipe, log = folder / "pipe", folder / "log"
        pipe.mkdir()
        log.mkdir()
        own = {"CUDA_MPS_PIPE_DIRECTORY": str(pipe), "CUDA_MPS_LOG_DIRECTORY": str(log)}
        environment = {**os.environ, **own}
        with open(folder / "said", "w+") as said:
            daemon = subprocess.Popen(
                [program, "-f"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                _wait_for(daemon, program, environment, folder, seconds)
                _probe(probe, environment, seconds)
                yield own
            finally:
                _stop(daemon, program, environment, pipe)


def _wait_for(
    daemon: subprocess.Popen[bytes],
    program: str,
    environment: Mapping[str, str],
    folder: Path,
    seconds: float,
) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if daemon.poll() is not None:
            said = (folder / "said").read_text("utf-8", "replace").split("\n")
            last = next((line for line in reversed(said) if line.strip()), "nothing")
            raise NoMps(f"{CONTROL} ended with status {daemon.returncode} and said: {last}")
        if _asked(program, environment, "get_server_list", until - time.monotonic()) is not None:
            return
        time.sleep(0.05)
    raise NoMps(f"{CONTROL} did not answer within {seconds:g} s")


def _asked(
    program: str, environment: Mapping[str, str], command: str, seconds: float
) -> str | None:
    """What the daemon answers; None where it does not."""
    try:
        ran = subprocess.run(
            [program],
            input=command + "\n",
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=max(0.1, seconds),
        )
    except subprocess.TimeoutExpired:
        return None
    return ran.stdout if ran.returncode == 0 else None


def _probe(probe: Sequence[str], environment: Mapping[str, str], seconds: float) -> None:
    try:
        ran = subprocess.run(
            list(probe),
            env=dict(environment),
            capture_output=True,
            text=True,
            # Loading torch takes its time.
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise NoMps(
            f"a process that uses the GPU by MPS did not end within {seconds:g} s"
        ) from None
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or ["nothing"]
        raise NoMps(f"a process that uses the GPU by MPS failed: {lines[-1]}")


def _stop(
    daemon: subprocess.Popen[bytes], program: str, environment: Mapping[str, str], pipe: Path
) -> None:
    """Ask it to end, and then make sure: of processes, only those that were started with our folder."""
    _asked(program, environment, "quit", QUIT_SECONDS)
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(QUIT_SECONDS)
    if daemon.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, SIGKILL)
    daemon.wait()
    for process in left(pipe):
        with suppress(ProcessLookupError):
            os.kill(process, SIGKILL)


def left(pipe: Path) -> list[int]:
    """Daemons and servers that still run with this folder."""
    setting = f"CUDA_MPS_PIPE_DIRECTORY={pipe}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_ours = setting in (process / "environ").read_bytes().split(b"\0")
            names = {Path(os.fsdecode(word)).name for word in words[:3]}
            if is_ours and names & {CONTROL, SERVER}:
                found.append(int(process.name))
    return found
