"""Metrics: whole lines, no step twice after a resumption, and what a terminal sees."""

from __future__ import annotations

import io
import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.train.metrics import NO_TENSORBOARD, JsonLines, Progress, tensorboard_if_there


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12), st.integers(0, 30)), max_size=6))
def test_no_step_stands_twice_whatever_was_killed_where(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, int, int]]
) -> None:
    """Each run goes on somewhere in what was done, does some steps, and is cut off in its last line."""
    path = tmp_path_factory.mktemp("metrics") / "metrics.jsonl"
    done: dict[int, float] = {}
    for number, (begin, count, cut) in enumerate(runs):
        begin = min(begin, len(done))
        metrics = JsonLines(path, begin)
        done = {step: value for step, value in done.items() if step < begin}
        for step in range(begin, begin + count):
            metrics.write(step, {"loss": float(number)})
            done[step] = float(number)
            assert steps_in(path) == list(range(step + 1)), "each line is there at once"
        metrics.close()
        assert {
            json.loads(line)["step"]: json.loads(line)["loss"]
            for line in path.read_text().splitlines()
        } == done
        lines = path.read_bytes().splitlines(keepends=True)
        if 0 < cut < len(lines[-1]) - 1:
            path.write_bytes(b"".join([*lines[:-1], lines[-1][:cut]]))
            del done[begin + count - 1]


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    for _ in range(2):
        metrics = JsonLines(tmp_path / "m")
        metrics.write(0, {"loss": 1.0})
        metrics.close()
    assert steps_in(tmp_path / "m") == [0]


def test_a_loss_that_is_no_number_is_null(tmp_path: Path) -> None:
    metrics = JsonLines(tmp_path / "m")
    metrics.write(3, {"loss": math.nan, "bubble": math.inf})
    metrics.close()
    assert json.loads((tmp_path / "m").read_text()) == {"step": 3, "loss": None, "bubble": None}


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("Dear diary,\nnothing happened.\n")
    with pytest.raises(InputError, match="line 1 of"):
        JsonLines(tmp_path / "m", first_step=4)
    assert (tmp_path / "m").read_text().startswith("Dear diary")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        JsonLines(tmp_path / "missing" / "m")
    with pytest.raises(InputError, match="Is a directory"):
        JsonLines(tmp_path)


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(100, stream=stream, lines=4)
    for step in range(100):
        progress.write(step, {"loss": step / 10, "tokens_per_second": 5e3, "bubble": 0.25})
    progress.say("done")
    progress.close()
    assert stream.getvalue().splitlines() == [
        *(f"step {n}/100  loss {(n - 1) / 10:.3f}  5,000 tokens/s  bubble 25.0%" for n in (25, 50, 75, 100)),
        "done",
    ]  # fmt: skip


def test_a_bar_in_a_terminal() -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    stream = Terminal()
    progress = Progress(10, first_step=4, stream=stream)
    progress.write(4, {"loss": 2.5, "tokens_per_second": 12345.0, "bubble": 0.5})
    progress.say("a checkpoint")
    progress.close()
    shown = stream.getvalue()
    assert "5/10" in shown
    assert "loss 2.500, 12,345 tokens/s, bubble 50.0%" in shown
    assert "a checkpoint\n" in shown


def test_without_tqdm_a_terminal_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    stream = Terminal()
    Progress(1, stream=stream).write(0, {"loss": 1.0})
    assert stream.getvalue() == "step 1/1  loss 1.000\n"


def test_without_tensorboard_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert tensorboard_if_there(tmp_path) is None
    assert capsys.readouterr().out == NO_TENSORBOARD + "\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the tensorboard package is missing")
def test_tensorboard_reads_what_was_written_each_step_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first_step in (0, 2):
        board = tensorboard_if_there(tmp_path, first_step)
        assert board is not None
        for step in range(first_step, first_step + 4):
            board.write(step, {"loss": float(first_step)})
        board.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(one.step, one.value) for one in events] == [
        (0, 0.0), (1, 0.0), (2, 2.0), (3, 2.0), (4, 2.0), (5, 2.0)
    ]  # fmt: skip
