"""No answer breaks the checker, fools it, or leaves anything behind."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from dualpipe_ref.grading.answers import AnswerError, call
from dualpipe_ref.grading.checks import Fault
from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.limits import Limits
from dualpipe_ref.grading.sandbox import Sandbox
from dualpipe_ref.grading.source import Source

from .hostile import AT_LOAD, CALLED, MARK

SHORT = Limits(call_seconds=2, total_seconds=10, memory_bytes=256 << 20)


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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize("name", AT_LOAD)
def test_what_cannot_be_loaded_is_one_line(name):
    with pytest.raises(AnswerError) as error:
        Sandbox(AT_LOAD[name].source, limits=SHORT)
    assert AT_LOAD[name].told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize("name", CALLED)
def test_what_fails_when_called_is_one_line(name):
    with Sandbox(CALLED[name].source, limits=SHORT) as answer:
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
    with Sandbox(source, limits=SHORT) as answer:
        with pytest.raises(Fault):
            call(answer, "f")
        assert call(answer, "g") == 7


def test_printing_megabytes_keeps_the_beginning_and_the_value():
    source = "def f():\n    for _ in range(50000): print('x' * 100)\n    return 1\n"
    with Sandbox(source) as answer:
        assert call(answer, "f") == 1
        time.sleep(0.2)  # the printed text comes by another way than the value
        assert len(answer.printed) < 70_000
        assert "bytes more]" in answer.printed


def test_the_time_of_all_calls_together_is_limited():
    source = "def f():\n    while True: pass\n"
    with Sandbox(source, limits=Limits(call_seconds=1, total_seconds=1.8)) as answer:
        for told in ("within 1 s", "did not return within", "the 1.8 s of an answer are used up"):
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


def test_a_hostile_answer_that_loops_gets_a_report_in_time():
    began = time.monotonic()
    source = "def gpipe(*_):\n    while True: pass\none_f_one_b = gpipe\n"
    from dualpipe_ref.grading.report import report

    with Sandbox(source, limits=SHORT) as answer:
        found = report(find_exercise("ch03"), answer)
    assert found.points == 0
    assert "did not return within 2 s" in found.outcomes[0].reason
    assert time.monotonic() - began < 20


@pytest.mark.skipif(sys.platform != "linux", reason="there the guard is one of two walls")
def test_without_its_guard_an_answer_reads_files(tmp_path):
    """The planted fault: what the tests above see refused does happen when nobody refuses it."""
    path = tmp_path / "victim"
    source = f"def f():\n    return open({str(path)!r}).read()\n"
    with Sandbox(source, _guarded=False) as answer:
        assert call(answer, "f") == "x"
    with Sandbox(source) as answer, pytest.raises(Fault, match="may not open files"):
        call(answer, "f")
