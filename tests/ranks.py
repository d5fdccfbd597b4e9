"""Start one process a rank, and end them all, whatever happens to one.

Each is a fork of one process that has loaded torch and nothing more: loading it takes a process two seconds of a core.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.test_project.files import ROOT

SECONDS = 900  # sixteen processes on two cores take minutes
_FORKS = hasattr(os, "fork") and sys.platform != "darwin"  # where libraries may be used after one
# The last one comes with the first step of an optimizer.
_LOADED = ["torch", "torch.distributed.optim", "dualpipe_ref.runtime.pipeline", "torch._dynamo"]


def run_ranks(
    module: str, ranks: int, *arguments: object, seconds: float = SECONDS
) -> list[subprocess.CompletedProcess[str]]:
    """`python -m module RANK *arguments` for every rank, and how each ended within so many `seconds`."""
    context = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
    if _FORKS:
        context.set_forkserver_preload(_LOADED)
    with tempfile.TemporaryDirectory() as name:
        commands = [[module, str(rank), *map(str, arguments)] for rank in range(ranks)]
        files = [(Path(name, f"{rank}.out"), Path(name, f"{rank}.err")) for rank in range(ranks)]
        started = [
            context.Process(target=_as_main, args=(command, *map(str, pair), dict(os.environ)))
            for command, pair in zip(commands, files, strict=True)
        ]
        try:
            for one in started:
                one.start()
            codes = _ends(started, seconds)
        finally:
            for one in started:
                if one.is_alive():
                    one.kill()
                    one.join()
        return [
            subprocess.CompletedProcess(
                command, code, *(path.read_text("utf-8", "replace") for path in pair)
            )
            for command, code, pair in zip(commands, codes, files, strict=True)
        ]


def _ends(started: Sequence[multiprocessing.process.BaseProcess], seconds: float) -> list[int]:
    """Exit codes of all, within so many seconds."""
    until = time.monotonic() + seconds
    codes = []
    for one in started:
        one.join(until - time.monotonic())
        if one.exitcode is None:
            raise TimeoutError(f"{one.name} still runs after {seconds} s")
        codes.append(one.exitcode)
    return codes


def _as_main(command: Sequence[str], out: str, err: str, environment: dict[str, str]) -> None:
    """In the new process: what `python -m` does, with output that goes to files."""
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
