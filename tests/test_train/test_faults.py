"""Training processes that are really killed, stopped, starved of disk or fed with nonsense: all end, and say why."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.train.launch import GRACE, STOPPED, TERMINATE
from dualpipe_ref.train_command import LONGEST, SHORTEST, grace_for
from tests.signals import control_c_counts
from tests.test_project.files import ROOT
from tests.test_train.test_run import SMALL, tensors, train

LIMIT = 4 * LONGEST  # seconds: the promise is for a machine that does nothing else


class Run:
    """A training run of two DualPipe ranks that goes on until something happens."""

    def __init__(self, *options: object) -> None:
        command = [sys.executable, "-m", "dualpipe_ref", "train", *SMALL.split(), "--nproc", "2"]
        self.process = subprocess.Popen(
            [*command, "--steps", "100000", *map(str, options)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=control_c_counts,
        )

    def wait_for(self, text: str) -> None:
        """Until rank 0 has said this."""
        assert self.process.stdout
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"ended early: {self.process.communicate()[1]}")

    def worker(self, rank: int) -> int:
        for pid in self.session():
            environment = _read(f"/proc/{pid}/environ").split("\0")
            if f"RANK={rank}" in environment:
                return pid
        raise AssertionError(f"no process of rank {rank}")

    def session(self) -> list[int]:
        """All processes that the command has started, itself included; zombies are none."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (stat := _read(f"/proc/{entry}/stat")):
                state, _, _, session = stat.rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(entry))
        return found

    def end(self) -> tuple[int, str]:
        """Status and stderr; nothing may be left."""
        began = time.monotonic()
        _, errors = self.process.communicate(timeout=LIMIT)
        while self.session() and time.monotonic() - began < LIMIT:
            time.sleep(0.1)
        assert not self.session(), "processes are left"
        return self.process.returncode, errors


@given(st.floats(0.1, LONGEST - STOPPED - TERMINATE - SHORTEST))
def test_all_waits_together_keep_the_promise(timeout: float) -> None:
    """A peer's patience, a look at who is stopped, time for last words, and time to obey SIGTERM."""
    assert SHORTEST <= grace_for(timeout) <= GRACE
    assert timeout + STOPPED + grace_for(timeout) + TERMINATE <= LONGEST + 1e-9


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


@contextmanager
def running(*options: object) -> Iterator[Run]:
    run = Run(*options)
    try:
        yield run
    finally:
        for pid in run.session():
            os.kill(pid, signal.SIGKILL)
        run.process.communicate()


def test_a_killed_rank_is_named_and_the_other_says_what_it_waited_for(tmp_path: Path) -> None:
    with running("--checkpoint", tmp_path, "--checkpoint-every", 2) as run:
        run.wait_for("checkpoint:")
        os.kill(run.worker(1), signal.SIGKILL)
        status, errors = run.end()
    assert status == 1
    assert re.search(r"^dualpipe-ref: rank 1 .*SIGKILL", errors, re.MULTILINE), errors
    assert re.search(r"rank 0 at .*: (waited for the|these messages|not all|the op)", errors) or (
        "rank 0" in errors
    ), errors
    left = sorted(one.name for one in tmp_path.iterdir() if not one.name.endswith(".partial"))
    assert tensors(tmp_path / left[-1]), "the last checkpoint is whole"


def test_a_rank_that_stands_still_ends_the_run() -> None:
    with running() as run:
        run.wait_for("held-out loss")
        os.kill(run.worker(0), signal.SIGSTOP)
        status, errors = run.end()
    assert status == 1
    assert "rank 0" in errors
    assert "SIGSTOP" in errors or "stopped" in errors


def test_control_c_ends_all() -> None:
    with running() as run:
        run.wait_for("held-out loss")
        os.killpg(run.process.pid, signal.SIGINT)
        status, errors = run.end()
    assert status == 130
    assert "interrupted" in errors


def test_a_loss_that_is_no_number_is_named() -> None:
    with running("--learning-rate", 1e30, "--warmup", 0) as run:
        status, errors = run.end()
    assert status == 1
    assert re.search(r"rank \d at .*F.*(is nan|is inf|with NaN)", errors)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = train("--nproc", 2, "--steps", 1, "--port", port, expect=2)
    assert str(port) in ended.stderr


def _small_disk(folder: Path, size: int) -> str | None:
    """Mount one there; why not, where that is not allowed."""
    if sys.platform != "linux" or os.geteuid():
        return "a small disk can be mounted by root on Linux alone"
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stderr.strip() or None


def test_a_full_disk_leaves_the_last_checkpoint_whole(straight: Path, tmp_path: Path) -> None:
    size = sum(one.stat().st_size for one in (straight / "step-00000002").rglob("*"))
    disk = tmp_path / "disk"
    disk.mkdir()
    if why := _small_disk(disk, size * 3 // 2):
        pytest.skip(why)
    try:
        options = ["--nproc", 2, "--checkpoint", disk, "--checkpoint-every", 1]
        ended = train(*options, "--steps", 3, expect=1)
        assert "the checkpoint of step 2 cannot be written" in ended.stderr
        free = re.search(r"([\d,]+) bytes are free there", ended.stderr)
        assert free
        assert int(free[1].replace(",", "")) < size // 2
        assert "the last whole one is step-00000001" in ended.stderr
        assert [one.name for one in disk.iterdir()] == ["step-00000001"]
        assert tensors(disk / "step-00000001").keys() == tensors(straight / "step-00000002").keys()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
