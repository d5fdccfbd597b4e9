"""dualpipe-ref grade: what it takes, what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from dualpipe_ref.cli import main
from dualpipe_ref.grading.exercises import all_exercises, find_exercise

FOLDER = find_exercise("ch03").folder
SOLUTION, WRONG = FOLDER / "solution.py", FOLDER / "wrong" / "warm_up_too_long.py"


def grade(*arguments: object) -> int:
    return main(["grade", *map(str, arguments)])


@pytest.fixture
def chapter(tmp_path):
    """A folder of an exercise in which a reader works."""
    folder = tmp_path / "ch03"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_as_a_command(tmp_path):
    command = [sys.executable, "-m", "dualpipe_ref", "grade", str(FOLDER), str(SOLUTION)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "10 of 10 points" in ended.stdout


def test_a_wrong_answer_ends_with_1_the_reason_and_its_timeline(capsys):
    assert grade("ch03", WRONG) == 1
    said = capsys.readouterr().out
    assert "P = 2, m = 2: rank 1 at F0.1" in said
    assert "8 of 10 points" in said
    assert "rank 1         |F0.0  |[F0.1]|" in said
    assert "Hint: the warm-up and the forward" in said
    assert max(map(len, said.splitlines())) <= 100


def test_list_names_every_exercise(capsys):
    assert grade("--list") == 0
    said = capsys.readouterr().out
    for exercise in all_exercises():
        assert exercise.name in said
        assert all(name in said for name in exercise.functions)


def test_the_printed_skeleton_fails(capsys, tmp_path):
    assert grade("ch09", "--skeleton") == 0
    path = tmp_path / "my_answer.py"
    path.write_text(capsys.readouterr().out)
    assert grade("ch09", path) == 1
    assert "0 of 10 points" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]  # nothing is left beside the reader's file


def test_a_folder_alone_is_graded_by_what_was_changed_last(chapter, capsys):
    assert grade(chapter) == 1
    assert "exercise.ipynb" in capsys.readouterr().out
    (chapter / "exercise.ipynb").rename(chapter / "mine.ipynb")
    assert grade(chapter) == 1
    assert "mine.ipynb" in capsys.readouterr().out
    shutil.copy(SOLUTION, chapter / "answer.py")
    os.utime(chapter / "mine.ipynb", (1, 1))
    assert grade(chapter) == 0
    assert "answer.py" in capsys.readouterr().out


def test_a_folder_without_an_answer_says_what_to_do(chapter, capsys):
    (chapter / "exercise.ipynb").unlink()
    assert grade(chapter) == 2
    assert "nearest legal: grade ch03 FILE" in capsys.readouterr().err


def test_a_notebook_alone_knows_its_exercise(tmp_path, capsys):
    path = tmp_path / "renamed.ipynb"
    shutil.copy(FOLDER / "exercise.ipynb", path)
    assert grade(path) == 1
    assert "Exercise 3" in capsys.readouterr().out
    path.write_text('{"cells": []}')
    assert grade(path) == 2
    assert grade(SOLUTION) == 2
    assert "nearest legal: grade" in capsys.readouterr().err


def test_several_exercises_and_one_that_cannot_be_graded(capsys):
    assert grade("ch03", SOLUTION, "ch99", "ch02", find_exercise("ch02").solution) == 2
    captured = capsys.readouterr()
    assert captured.out.count("10 of 10 points") == 2
    assert captured.err.count("\n") == 1
    assert "ch99" in captured.err


def test_json_and_gradescope(tmp_path, capsys):
    out = tmp_path / "results" / "results.json"
    assert grade("ch03", WRONG, "--format", "gradescope", "--out", out) == 1
    results = json.loads(out.read_text())
    assert results["score"] == 8
    assert sum(test["max_score"] for test in results["tests"]) == 10
    (failed,) = (test for test in results["tests"] if test["status"] == "failed")
    assert failed["score"] == 0
    assert "rank 1" in failed["output"]
    assert "ch03: 8 of 10 points" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["results.json"]
    assert grade("ch03", WRONG, "--format", "json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["points"] == 8
    (check,) = (check for check in report["checks"] if check["status"] != "pass")
    assert check["counterexample"]["highlight"]["ops"] == [[1, 1]]
    assert grade("ch03", SOLUTION, "ch02", SOLUTION, "--format", "json") == 1
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_gradescope_takes_one_exercise(capsys):
    assert grade("ch02", "ch03", "--format", "gradescope") == 2
    assert "one exercise at a time" in capsys.readouterr().err


def test_a_report_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert grade("ch03", SOLUTION, "--out", tmp_path / "file" / "results.json") == 2
    assert "cannot be written" in capsys.readouterr().err


BROKEN = {
    "syntax.py": ("def f(:\n", "line 1: invalid syntax"),
    "nul.py": ("x = 1\0\n", "null bytes"),
    "raises.py": ("1 / 0\n", "division by zero (line 1)"),
    "imports.py": ("import torch\n", "may not import torch"),
    "exits.py": ("raise SystemExit(0)\n", "raised SystemExit"),
    "empty.py": ("", "no function gpipe"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_cannot_be_loaded_gets_a_report_with_no_points(name, tmp_path, capsys):
    text, told = BROKEN[name]
    path = tmp_path / name
    path.write_text(text)
    assert grade("ch03", path) == 1
    captured = capsys.readouterr()
    assert told in " ".join(captured.out.split())
    assert "0 of 10 points" in captured.out
    assert captured.err == ""


def test_files_that_are_not_there_and_bytes_that_are_no_text(tmp_path, capsys):
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "folder.py").mkdir()
    for path in (tmp_path / "bytes.py", tmp_path / "folder.py", tmp_path / "missing.py"):
        assert grade("ch03", path) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert captured.out == ""


@pytest.mark.parametrize("arguments", [["ch99", "x.py"], [], ["../ch03", "x.py"], ["--fast"]])
def test_nothing_to_grade_is_one_line_and_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert grade(*arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
