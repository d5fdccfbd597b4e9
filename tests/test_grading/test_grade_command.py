"""python -m exercises.check: its exit status and what it prints."""

from __future__ import annotations

import subprocess
import sys

import pytest
from exercises.check import main

from dualpipe_ref.grading.exercises import all_exercises, find_exercise

SOLUTION = find_exercise("ch03").folder / "solution.py"
WRONG = find_exercise("ch03").folder / "wrong" / "warm_up_too_long.py"


def test_as_a_command():
    command = [sys.executable, "-m", "exercises.check", "ch03", str(SOLUTION)]
    ended = subprocess.run(
        command,
        cwd=find_exercise("ch03").folder.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "7 of 7 checks pass" in ended.stdout


def test_a_wrong_answer_ends_with_1_and_the_reason(capsys):
    assert main(["ch03", str(WRONG)]) == 1
    said = capsys.readouterr().out
    assert "P = 2, m = 2: rank 1 at F0.1" in said
    assert "6 of 7 checks pass" in said
    assert max(map(len, said.splitlines())) <= 100


def test_list_names_every_exercise(capsys):
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    for chapter in all_exercises():
        assert chapter.name in said
        assert all(name in said for name in chapter.functions)


def test_the_printed_skeleton_fails(capsys, tmp_path):
    assert main(["ch09", "--skeleton"]) == 0
    path = tmp_path / "my_answer.py"
    path.write_text(capsys.readouterr().out)
    assert main(["ch09", str(path)]) == 1
    assert "0 of 7 checks pass" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]  # nothing is left beside the reader's file


BAD = {
    "missing.py": None,
    "syntax.py": "def f(:\n",
    "indent.py": "  x = 1\n y = 2\n",
    "nul.py": "x = 1\0\n",
    "raises.py": "import nothing_of_this_name\n",
    "exits.py": "import sys\nsys.exit(0)\n",
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_loaded_is_one_line_and_2(name, tmp_path, capsys):
    path = tmp_path / name
    if BAD[name] is not None:
        path.write_text(BAD[name])
    assert main(["ch03", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert name in captured.err


def test_a_folder_and_bytes_that_are_no_text(tmp_path, capsys):
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    for path in (tmp_path, tmp_path / "bytes.py"):
        assert main(["ch03", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["ch99", "x.py"], ["ch03"], [], ["../ch03", "x.py"]])
def test_nothing_to_check_is_one_line_and_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_option_is_one_line_and_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["ch03", "--fast"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_answer_with_a_dataclass_loads(tmp_path):
    path = tmp_path / "answer.py"
    start = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text = SOLUTION.read_text().replace("from __future__ import annotations\n", start)
    path.write_text(text + "\n\n@dataclass\nclass Rank:\n    number: int\n")
    assert main(["ch03", str(path)]) == 0
