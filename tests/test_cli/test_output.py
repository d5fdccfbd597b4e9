"""Files and pipes: a file is whole or absent, and a reader that leaves early is no error."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualpipe_ref.cli import main

from .command import GOLDEN, P8, ROOT, Result, call, environment, refused, run

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
SMALL = ("--ranks", 4, "--microbatches", 8)


def test_trace_writes_one_whole_file(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    result = run("trace", "dualpipe", *P8, "--cost", "FB=2.2", "--out", out)
    assert result == (0, f"{out}: open it at https://ui.perfetto.dev\n", "")
    events = json.loads(out.read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["tid"] for event in slices} == set(range(8))
    assert max(event["ts"] + event["dur"] for event in slices) == pytest.approx(54_800)
    assert list(tmp_path.iterdir()) == [out]


def test_the_default_name(tmp_path: Path) -> None:
    assert run("trace", "zb-v", *SMALL, cwd=tmp_path).out.startswith("zb-v_P4_m8.trace.json: ")
    assert [path.name for path in tmp_path.iterdir()] == ["zb-v_P4_m8.trace.json"]


BEGINNINGS = {"svg": b"<?xml", "png": b"\x89PNG\r\n", "pdf": b"%PDF-", "SVG": b"<?xml"}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_plot_writes_one_whole_file(ending: str, tmp_path: Path) -> None:
    out = tmp_path / f"figure.{ending}"
    result = call("plot", GOLDEN / "dualpipe_P4_m8.json", "--theme", "dark", "--out", out)
    if not HAS_MATPLOTLIB:
        assert "drawing needs matplotlib" in refused(result)
        assert "pip install" in result.err
        return
    assert result == (0, f"{out}\n", "")
    assert out.read_bytes().startswith(BEGINNINGS[ending])
    assert (
        out.read_bytes()
        .rstrip()
        .endswith({"svg": b"</svg>", "pdf": b"%%EOF"}.get(ending.lower(), b""))
    )
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="needs matplotlib: pip install -e '.[plot]'")
@pytest.mark.parametrize("name", ["figure.jpg", "figure", ".", "/", "svg", "none/figure.svg", ""])
def test_plot_refuses_other_places(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reason = refused(call("plot", "1f1b", *SMALL, "--out", name))
    assert "a drawing is .svg, .png or .pdf" in reason or "must be writable" in reason
    assert list(tmp_path.iterdir()) == []


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process without site-packages has none: the message says what to install."""
    out = tmp_path / "figure.svg"
    reason = refused(run("plot", "1f1b", *SMALL, "--out", out, flags=("-S",)))
    assert "drawing needs matplotlib" in reason
    assert "pip install -e" in reason
    assert not out.exists()


def test_a_failed_run_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    out.write_text("old")
    assert refused(call("trace", "dualpipe", "--ranks", 8, "--microbatches", 3, "--out", out))
    assert refused(call("trace", "dualpipe", *SMALL, "--cost", "F=0", "--out", out))
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run.json"
    out.write_text("old")
    monkeypatch.setattr(os, "replace", full)
    assert refused(call("trace", "1f1b", *SMALL, "--out", out)).endswith("No space left on device")
    monkeypatch.setattr(os, "replace", stop)
    assert call("trace", "1f1b", *SMALL, "--out", out) == (130, "", "dualpipe-ref: interrupted\n")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    assert call("trace", "1f1b", *SMALL, "--out", link).status == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As /dev/stdout and /dev/null, which a rename would destroy for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    assert call("trace", "1f1b", *SMALL, "--out", pipe).status == 0
    assert json.loads(reader.communicate(timeout=300)[0])["traceEvents"]
    assert pipe.is_fifo()


def test_a_directory_that_forbids_writing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = call("trace", "1f1b", *SMALL, "--out", tmp_path / "run.json")
    tmp_path.chmod(0o700)
    assert os.geteuid() == 0 or "Permission denied" in refused(result)


def shell(command: str) -> Result:
    """A command line with {} for the program; what the pipe's end prints, and the program's own errors."""
    program = f"{sys.executable} -m dualpipe_ref"
    found = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.format(program)}"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Result(found.returncode, found.stdout, found.stderr)


@pytest.mark.parametrize(
    "command",
    [
        "schedule dualpipe --ranks 16 --microbatches 400",
        "schedule dualpipe --ranks 16 --microbatches 400 --format json",
        "simulate 1f1b --ranks 4 --microbatches 8",
        "--help",
        "doctor",
    ],
)
@pytest.mark.parametrize("reader", ["head -c 10", "true"])
def test_a_reader_that_leaves(command: str, reader: str) -> None:
    assert shell(f"{{}} {command} | {reader}")[::2] == (0, "")


def test_no_standard_output_at_all() -> None:
    assert shell("{} simulate 1f1b --ranks 4 --microbatches 8 >&-") == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["schedule 1f1b --ranks 4 --microbatches 8", "--version"])
def test_a_full_disk(command: str) -> None:
    reason = refused(shell(f"{{}} {command} > /dev/full"))
    assert reason == "the output cannot be written: No space left on device"


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.json")
    assert run("trace", "1f1b", *SMALL, "--out", name, cwd=tmp_path).out.startswith(
        "\\udcff\\udcfe.json: "
    )
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.json"]


@pytest.mark.parametrize("flags", [("-S",), ("-S", "-E", "-s"), ("-O",), ("-W", "error")])
def test_a_bare_interpreter(flags: tuple[str, ...]) -> None:
    """From the clone, without anything installed: what needs only Python runs."""
    for command in (
        ("schedule", "dualpipe", *SMALL, "--format", "json"),
        ("verify", GOLDEN / "dualpipe_P8_m20.json"),
        ("simulate", "dualpipe", *SMALL),
        ("compare", "1f1b", "dualpipe", *SMALL),
        ("trace", "1f1b", *SMALL, "--out", "/dev/null"),
    ):
        assert run(*command, flags=flags) == call(*command)


def test_main_reads_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dualpipe-ref", "schedule", "gpipe", "--ranks", "2"])
    assert main() == 2
