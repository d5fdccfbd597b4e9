"""No answer breaks the checker, fools it, or leaves anything behind."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dualpipe_ref.grading import sandbox
from dualpipe_ref.grading.answers import AnswerError, CallFailedError, call
from dualpipe_ref.grading.checks import Fault
from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.limits import Limits
from dualpipe_ref.grading.sandbox import Sandbox
from dualpipe_ref.grading.source import Source

from .hostile import AT_LOAD, CALLED, MARK, Hostile

# Time runs while a process starts, too: only what never returns has so little that it is waited for.
LONG = Limits(call_seconds=60, total_seconds=300, memory_bytes=256 << 20)
SHORT = replace(LONG, call_seconds=2)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "victim").write_text("x")
    processes = set(_children())
    yield
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    assert not Path("/tmp", MARK).exists()
    assert set(_children()) <= processes


def _children() -> list[str]:
    """The processes that this one has started; their state lags a little behind their end."""
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    for _ in range(20):
        found = task.read_text().split() if task.exists() else []
        if not found:
            break
        time.sleep(0.01)
    return found


def limits_of(hostile: Hostile) -> Limits:
    return SHORT if "did not return" in hostile.told else LONG


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize("name", AT_LOAD)
def test_what_cannot_be_loaded_is_one_line(name):
    with pytest.raises(AnswerError) as error:
        Sandbox(AT_LOAD[name].source, limits=limits_of(AT_LOAD[name]))
    assert AT_LOAD[name].told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize("name", CALLED)
def test_what_fails_when_called_is_one_line(name):
    with Sandbox(CALLED[name].source, limits=limits_of(CALLED[name])) as answer:
        with pytest.raises(Fault) as fault:
            call(answer, "f")
        assert CALLED[name].told in str(fault.value)
        assert "\n" not in str(fault.value)


def test_there_are_many():
    assert len(AT_LOAD) + len(CALLED) >= 50


@pytest.mark.parametrize(
    "name", ["loops", "eats memory", "exits", "writes a file", "other builtins"]
)
def test_the_next_call_is_judged_on_its_own(name):
    """After an answer has failed, or its process is gone, the checker goes on with a new one."""
    source = CALLED[name].source + "\ndef g():\n    return 7\n"
    with Sandbox(source, limits=limits_of(CALLED[name])) as answer:
        with pytest.raises(Fault):
            call(answer, "f")
        assert call(answer, "g") == 7


def test_printing_megabytes_keeps_the_beginning_and_the_value():
    source = "def f():\n    for _ in range(50000): print('x' * 100)\n    return 1\n"
    with Sandbox(source) as answer:
        assert call(answer, "f") == 1
        began = time.monotonic()
        while "bytes more]" not in answer.printed and time.monotonic() - began < 60:
            time.sleep(0.01)  # the printed text comes by another way than the value
        assert len(answer.printed) < 70_000
        assert "bytes more]" in answer.printed


class Played:
    """A process of an answer whose function never returns, on a clock that only it moves; its start takes 0.1 s."""

    now = 0.0

    def __init__(self, *_):
        self.is_loaded = False

    def ask(self, request, seconds):
        is_loaded, self.is_loaded = self.is_loaded, True
        Played.now += seconds if is_loaded else 0.1
        if is_loaded:
            raise CallFailedError(f"did not return within {seconds:.1f} s")
        return {"functions": ["f"]}

    def end(self):
        pass


def test_the_time_of_all_calls_together_is_limited(monkeypatch):
    monkeypatch.setattr(sandbox, "Process", Played)
    monkeypatch.setattr(sandbox, "time", SimpleNamespace(monotonic=lambda: Played.now))
    with Sandbox("", limits=Limits(call_seconds=1, total_seconds=1.8)) as answer:
        # The second call has what two starts and the first call have left.
        for told in ("within 1.0 s", "within 0.6 s", "the 1.8 s of an answer are used up"):
            with pytest.raises(Fault, match=told):
                call(answer, "f")


def test_too_much_is_not_read():
    source = "def f():\n    return [0] * 300000\n"
    with (
        Sandbox(source, limits=Limits(answer_bytes=1 << 16)) as answer,
        pytest.raises(Fault, match=r"returned more than"),
    ):
        call(answer, "f")


def test_a_forged_reply_is_only_a_value():
    """Who takes the process over can send any plain value, and so gains nothing over returning it."""
    forged = """
import dataclasses
def f():
    frame = dataclasses.sys._getframe()
    while 'reply' not in frame.f_locals:
        frame = frame.f_back
    frame.f_locals['reply']({'value': '99'})
    return 1
"""
    with Sandbox(forged) as answer:
        assert call(answer, "f") == 99


@pytest.mark.parametrize("chapter", all_exercises(), ids=lambda chapter: chapter.name)
@pytest.mark.parametrize("name", ["equals everything", "exits", "NaN", "reads the solution"])
def test_no_exercise_gives_a_point(chapter, name):
    made = CALLED[name].source.replace("def f():", "def f(*_):")
    source = made + "".join(f"\n{function} = f" for function in chapter.functions)
    report = judge(chapter, Source(source))
    assert report.points == 0
    assert json.dumps(report.as_dict(), allow_nan=False)


def test_a_hostile_answer_that_loops_gets_a_report():
    source = "def gpipe(*_):\n    while True: pass\none_f_one_b = gpipe\n"
    from dualpipe_ref.grading.report import report

    with Sandbox(source, limits=SHORT) as answer:
        found = report(find_exercise("ch03"), answer)
    assert found.points == 0
    assert "did not return within 2 s" in found.outcomes[0].reason


@pytest.mark.skipif(sys.platform != "linux", reason="there the guard is one of two walls")
def test_without_its_guard_an_answer_reads_files(tmp_path):
    """The planted fault: what the tests above see refused does happen when nobody refuses it."""
    path = tmp_path / "victim"
    source = f"def f():\n    return open({str(path)!r}).read()\n"
    with Sandbox(source, _guarded=False) as answer:
        assert call(answer, "f") == "x"
    with Sandbox(source) as answer, pytest.raises(Fault, match="may not open files"):
        call(answer, "f")
