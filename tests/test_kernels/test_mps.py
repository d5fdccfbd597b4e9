"""The manager of MPS against a control program that only plays one: started, asked, stopped, and what is said where it cannot be."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.gpu.mps import CONTROL, NoMps, left, mps

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MPS is for Linux")
FAKE = f"""#!{sys.executable} -SE
import os, sys, time
from pathlib import Path
folder, mode = Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"]), os.environ["FAKE_MPS"]
if "-f" in sys.argv:
    if mode == "refuses":
        sys.exit("starting\\nan instance of this daemon is already running\\n")
    if mode != "hangs":
        (folder / "control").touch()
    while mode in ("hangs", "stays") or not (folder / "quit").exists():
        time.sleep(0.01)
else:
    command = sys.stdin.read().strip()
    if mode == "deaf":
        time.sleep(3600)
    if not (folder / "control").exists():
        sys.exit("cannot find the daemon")
    if command == "quit":
        (folder / "quit").touch()
"""
FINE = ("true",)


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / CONTROL
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_MPS", "works")
    return program


def gone(own: dict[str, str]) -> bool:
    """No process has the folder, and there is none."""
    pipe = Path(own["CUDA_MPS_PIPE_DIRECTORY"])
    return not left(pipe) and not pipe.parent.exists()


def test_a_daemon_runs_for_a_while(control: Path) -> None:
    with mps(probe=FINE) as own:
        assert set(own) == {"CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"}
        assert len(left(Path(own["CUDA_MPS_PIPE_DIRECTORY"]))) == 1
        assert all(Path(folder).is_dir() for folder in own.values())
    assert gone(own)


def test_the_probe_is_a_client(control: Path) -> None:
    with mps(probe=("sh", "-c", 'test -e "$CUDA_MPS_PIPE_DIRECTORY"/control')) as own:
        pass
    assert gone(own)


def test_it_is_stopped_after_an_error(control: Path) -> None:
    kept: dict[str, str] = {}

    def fail() -> None:
        with mps(probe=FINE) as own:
            kept.update(own)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(kept)


def test_one_that_does_not_quit_is_killed(control: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MPS", "stays")
    monkeypatch.setattr("tests.gpu.mps.QUIT_SECONDS", 0.2)
    with mps(probe=FINE) as own:
        pass
    assert gone(own)


@pytest.mark.parametrize(
    ("mode", "probe", "words"),
    [
        ("refuses", FINE, "ended with status 1 and said: an instance of this daemon is already"),
        ("hangs", FINE, "did not answer within 0.5 s"),
        ("deaf", FINE, "did not answer within 0.5 s"),
        ("works", ("sh", "-c", "echo no device >&2; exit 3"), "by MPS failed: no device"),
        ("works", ("sleep", "60"), "did not end within 0.5 s"),
    ],
)
def test_why_not_is_said_and_nothing_is_left(
    mode: str,
    probe: tuple[str, ...],
    words: str,
    control: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_MPS", mode)
    monkeypatch.setattr("tests.gpu.mps.QUIT_SECONDS", 0.2)
    made: list[str] = []
    monkeypatch.setattr("tests.gpu.mps.left", lambda pipe: made.append(str(pipe)) or left(pipe))
    with pytest.raises(NoMps, match=re.escape(words)), mps(seconds=0.5, probe=probe):
        pytest.fail("nothing runs")
    (pipe,) = made
    assert gone({"CUDA_MPS_PIPE_DIRECTORY": pipe})


def test_a_machine_without_the_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoMps, match=f"there is no {CONTROL} here"), mps():
        pytest.fail("nothing runs")
