"""Run the command, in this process (fast) or in one of its own (as a user does)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.cli import main

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
P8 = ("--ranks", "8", "--microbatches", "20")


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON that it printed; all of its output is one value."""
        assert (self.status, self.err) == (0, ""), self
        return json.loads(self.out)


def call(*arguments: object) -> Result:
    """`main` in this process. --help and --version leave by SystemExit, as they do from a shell."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as leave:
            status = int(leave.code or 0)
    return Result(status, out.getvalue(), err.getvalue())


def environment() -> dict[str, str]:
    """With the clone on the path, and output buffered, as a user has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return kept | {"PYTHONPATH": str(ROOT)}


def run(*arguments: object, flags: tuple[str, ...] = (), cwd: Path = ROOT) -> Result:
    """`python -m dualpipe_ref` from the clone, without what is installed where `flags` hold -S."""
    found = subprocess.run(
        [sys.executable, *flags, "-m", "dualpipe_ref", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Result(found.returncode, found.stdout, found.stderr)


def refused(result: Result, status: int = 2) -> str:
    """The one line of an error, with nothing printed before it."""
    assert result.status == status, result
    assert result.out == ""
    assert result.err.startswith("dualpipe-ref: ")
    assert result.err.endswith("\n")
    assert "Traceback" not in result.err
    assert status == 1 or result.err.count("\n") == 1, result.err
    return result.err.removeprefix("dualpipe-ref: ").rstrip("\n")
