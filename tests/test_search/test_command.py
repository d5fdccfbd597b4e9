"""`dualpipe-ref search`: a file that other commands read, a search that can be stopped, errors before the work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ortools")

from dualpipe_ref.cli import main
from dualpipe_ref.schedule.formats import load
from dualpipe_ref.schedule.occupancy import peaks
from tests.signals import control_c_counts

SMALL = ["search", "--ranks", "2", "--microbatches", "3", "--seconds", "60"]


def test_what_it_writes_is_read_by_the_other_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "best.json")
    options = ["--placement", "v", "--max-activations", "3", "--cost", "I=3/2", "--format", "json"]
    assert main([*SMALL, *options, "--out", out]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["optimal"]
    assert max(told["peak_activations"]) <= 3
    assert main(["verify", out, "--max-activations", "3"]) == 0
    capsys.readouterr()
    assert main(["simulate", out, "--cost", "I=3/2", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["makespan"] == told["makespan"]
    assert main(["simulate", out, "--cost", "I=1/2", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["makespan"] != told["makespan"]


def test_with_pairs_it_uses_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "best.json")
    options = ["--placement", "v", "--cost", "FB=2", "--start", "dualpipev", "--out", out]
    assert main([*SMALL, *options]) == 0
    said = capsys.readouterr()
    assert "and no order is faster" in said.out
    assert "... " in said.err  # a line for each better order
    assert any(op.kind == "FB" for ops in load(out).schedule.ops for op in ops)


def command(*options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "dualpipe_ref", "search", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, preexec_fn=control_c_counts)


def test_control_c_gives_the_best_so_far(tmp_path: Path) -> None:
    out = tmp_path / "best.json"
    sizes = ["--ranks", "4", "--microbatches", "12", "--placement", "v", "--max-held", "9"]
    rest = ["--cost", "FB=2", "--start", "dualpipev", "--seconds", "300", "--out", str(out)]
    process = command(*sizes, *rest)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("... ")  # an order is known
    assert not out.exists()
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=300)
    assert process.returncode == 0, complained
    assert "stopped by hand" in said
    schedule = load(out).schedule
    assert max(peaks(schedule).held) <= 9
    assert [path.name for path in tmp_path.iterdir()] == ["best.json"]


def test_where_there_is_no_order_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "best.json"
    sizes = ["--ranks", "4", "--microbatches", "12", "--placement", "bidirectional"]
    assert main(["search", *sizes, "--seconds", "0.01", "--out", str(out)]) == 1
    assert "no order was found yet: 0.01 s are over" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "/nowhere/at/all.json"], "the output file must be writable"),
        (["--cost", "I=1.5.2"], "I is a number"),
        (["--placement", "v", "--max-held", "1"], "nearest legal: max_held = 2"),
        (["--backward", "whole", "--start", "gpipe", "--max-held", "2"], "keeps max_held"),
        (["--start", "dual"], "a schedule is one of"),
    ],
)
def test_what_is_wrong_is_told_before_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    given = options if "--out" in options else [*options, "--out", str(tmp_path / "x.json")]
    assert main([*SMALL, *given]) == 2
    assert message in capsys.readouterr().err


def test_without_or_tools_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.startswith("dualpipe_ref.search.")]:
        if not name.endswith(".problem"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    assert main([*SMALL, "--out", str(tmp_path / "x.json")]) == 2
    assert "pip install -e '.[search]'" in capsys.readouterr().err
