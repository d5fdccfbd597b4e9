"""Start one process a rank, and end them all, whatever happens to one."""

from __future__ import annotations

import subprocess
import sys

from tests.test_project.files import ROOT

SECONDS = 900  # sixteen processes on two cores take minutes


def run_ranks(
    module: str, ranks: int, *arguments: object
) -> list[subprocess.CompletedProcess[str]]:
    """`python -m module RANK *arguments` for every rank, and how each ended."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, str(rank), *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    ended = []
    try:
        for one in started:
            out, err = one.communicate(timeout=SECONDS)
            ended.append(subprocess.CompletedProcess(one.args, one.returncode, out, err))
    finally:
        for one in started:
            one.kill()
    return ended
