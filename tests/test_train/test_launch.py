"""Processes that are really killed, stopped and interrupted: all end, the first is named, none is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dualpipe_ref import InputError
from dualpipe_ref.train import guard
from dualpipe_ref.train.launch import STOPPED, launched_by_others
from dualpipe_ref.train.ports import port_for_run
from tests.signals import control_c_counts
from tests.test_project.files import ROOT
from tests.test_train.launched import EVENTS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks for processes that are left in /proc"
)
MOST_SECONDS = 180  # until a launch that hangs has failed; workers that sleep do so for longer


class Run:
    """A launch in a session of its own, whose processes all carry a mark in their environment."""

    def __init__(
        self, *what: str, processes: int = 3, grace: float = 20, port: str = "-", **more: str
    ) -> None:
        self.mark = f"MARK_OF_THIS_RUN={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        command = [sys.executable, "-m", "tests.test_train.parent"]
        self.process = subprocess.Popen(
            [*command, str(processes), str(grace), port, *what],
            cwd=ROOT,
            env=os.environ | more | {name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=control_c_counts,
        )

    def ended(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        out, err = self.process.communicate(timeout=MOST_SECONDS)
        return self.process.returncode, out, err

    def alive(self) -> list[int]:
        """Every process with the mark that is no zombie."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if status != "Z" and self.mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def wait_until_ready(self, workers: int) -> None:
        """Until so many workers have written `ready`."""
        assert self.process.stderr
        for _ in range(workers):
            while "ready" not in (line := self.process.stderr.readline()):
                assert line, "the launcher ended too soon"

    def wait_until_only(self, *left: int) -> None:
        """Until of all processes with the mark just these are left."""
        deadline = time.monotonic() + MOST_SECONDS
        while self.alive() != list(left) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.alive() == list(left)

    def wait_until_it_has_looked(self) -> None:
        """Until the launcher has gone several times round the loop in which it looks at its workers."""

        def pauses() -> int:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

        wanted = pauses() + 10
        while pauses() < wanted:
            time.sleep(0.05)


@contextlib.contextmanager
def running(*what: str, **settings: str | float) -> Iterator[Run]:
    one = Run(*what, **settings)  # type: ignore[arg-type]
    try:
        yield one
    finally:
        for number in one.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        one.process.communicate()


def outcome_of(*what: str, **settings: str | float) -> tuple[int, str, str]:
    """Status, the launcher's message, stderr; nothing may be left."""
    with running(*what, **settings) as one:
        status, out, err = one.ended()
        assert one.alive() == []
    return status, out.partition("OUTCOME ")[2].strip(), err


def test_ranks_know_their_place_and_rank_0_speaks() -> None:
    with running("say") as one:
        status, out, err = one.ended()
        assert one.alive() == []
    assert (status, out.count("I am")) == (0, 1)
    assert out.startswith("I am 0 3 0 127.0.0.1 ")
    lines = err.splitlines()
    wanted = ["[rank 1] error line of 1", "[rank 2] error line of 2", "error line of 0"]
    assert sorted(lines) == wanted


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("fail", 1, "rank 1 ended with exit code 1: ValueError: the loss is no number"),
        ("slow_end", 1, "rank 1 ended with exit code 1: ValueError: the loss is no number"),
        ("refuse", 1, "rank 1 ended with exit code 1: the checkpoint is of another model"),
        ("exit_seven", 7, "rank 1 ended with exit code 7: unhappy with the weather"),
        ("kill_itself", 1, "rank 1 was killed by SIGKILL"),
    ],
)
def test_who_failed_first_is_named(what: str, status: int, message: str, tmp_path: Path) -> None:
    """The others fail because of it, with a message of their own, and may even be gone before it."""
    got = outcome_of("fail_later", f"1={what}", grace=60, **{EVENTS: str(tmp_path)})
    assert got[:2] == (status, message)
    if what in ("fail", "kill_itself"):
        assert "[rank 2] ConnectionError: a peer is gone" in got[2]


def test_an_error_has_its_traceback_and_no_mark() -> None:
    _, _, err = outcome_of("fail", processes=1)
    assert 'raise ValueError("the loss is\\nno number")' in err
    assert guard.MARK[1:].strip() not in err


def test_others_that_do_not_end_are_ended() -> None:
    status, message, _ = outcome_of("deaf", "2=fail", grace=0.5)
    wanted = "rank 2 ended with exit code 1: ValueError: the loss is no number"
    assert (status, message) == (1, wanted)


def test_a_worker_killed_from_outside() -> None:
    with running("sleep", grace=0.5) as one:
        one.wait_until_ready(3)
        victim = max(set(one.alive()) - {one.process.pid})
        os.kill(victim, signal.SIGKILL)
        status, out, _ = one.ended()
        assert one.alive() == []
    assert status == 1
    assert "was killed by SIGKILL" in out


def test_a_worker_that_hangs() -> None:
    """Stopped for good, and the others wait for it: all end."""
    status, message, _ = outcome_of("sleep", "1=stop_itself", grace=1)
    assert (status, message) == (1, "rank 1 was stopped by SIGSTOP")


def test_a_worker_that_stands_still_for_a_moment_goes_on() -> None:
    """Several times: the moments do not add up."""
    with running("sleep", grace=0.1) as one:
        one.wait_until_ready(3)
        victim = max(set(one.alive()) - {one.process.pid})
        moment = 1.3  # far from STOPPED, so that a loaded machine does not make it too long
        for _ in range(round(STOPPED / moment) + 1):
            os.kill(victim, signal.SIGSTOP)
            time.sleep(moment)
            os.kill(victim, signal.SIGCONT)
            one.wait_until_it_has_looked()
        assert len(one.alive()) == 4
        one.process.send_signal(signal.SIGTERM)
        one.ended()


@pytest.mark.parametrize("what", ["sleep", "deaf"])
def test_control_c_ends_all(what: str) -> None:
    with running(what) as one:
        one.wait_until_ready(3)
        os.killpg(one.process.pid, signal.SIGINT)
        status, out, err = one.ended()
        assert one.alive() == []
    assert (status, out) == (130, "OUTCOME interrupted\n")
    assert "Traceback" not in err


def test_terminating_the_launcher_ends_all() -> None:
    with running("sleep") as one:
        one.wait_until_ready(3)
        one.process.send_signal(signal.SIGTERM)
        status, out, _ = one.ended()
        assert one.alive() == []
    assert (status, out) == (128 + signal.SIGTERM, "OUTCOME ended by SIGTERM\n")


@pytest.mark.parametrize("watch", [False, True], ids=["kernel", "watch"])
@pytest.mark.parametrize("what", ["sleep", "deaf"])
def test_killing_the_launcher_kills_all(what: str, watch: bool) -> None:
    """By the kernel's signal, and by the look every half second that other systems have."""
    with running(what, **({guard.WATCH: "1"} if watch else {})) as one:
        one.wait_until_ready(3)
        assert len(one.alive()) == 4
        one.process.kill()
        one.wait_until_only()


def test_processes_that_are_left_are_seen() -> None:
    """The planted fault: a worker without the guard outlives its launcher, and the search finds it."""
    with running("sleep", processes=1) as one:
        one.wait_until_ready(1)
        name, _, value = one.mark.partition("=")
        orphan = subprocess.Popen(["sleep", "600"], env={name: value})
        assert len(one.alive()) == 3
        one.process.kill()
        one.wait_until_only(orphan.pid)
        orphan.kill()
        orphan.wait()


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, message, _ = outcome_of("say", port=str(port))
    assert status == 2
    assert message.startswith(
        f"nothing else uses the port of a run; got port = {port}: Address already in use"
    )
    assert port_for_run(port) == port, "a port that was closed is free"


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match="nearest legal: port = "):
        port_for_run(port)


def test_the_port_that_was_asked_for_is_used() -> None:
    port = port_for_run()
    with running("say", port=str(port)) as one:
        assert f"I am 0 3 0 127.0.0.1 {port}\n" in one.ended()[1]


def test_torchrun_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert not launched_by_others()
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    assert launched_by_others()


def under_torchrun(processes: int) -> subprocess.CompletedProcess[str]:
    parent = ["-m", "tests.test_train.parent", str(processes), "1", "-", "say"]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            *parent,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )


def test_under_torchrun_nothing_more_is_started() -> None:
    result = under_torchrun(2)
    assert result.returncode == 0, result.stderr
    assert sorted(line[:9] for line in result.stdout.splitlines() if "I am" in line) == [
        "I am 0 2 ",
        "I am 1 2 ",
    ]


def test_torchrun_with_another_number_of_processes_is_refused() -> None:
    result = under_torchrun(3)
    assert result.returncode != 0
    assert "WORLD_SIZE = 2 for 3 processes; nearest legal: WORLD_SIZE = 3" in result.stdout
