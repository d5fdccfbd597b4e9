"""The answer is found in a notebook, whatever state it is in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.grading import evaluate
from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.source import answer_source, cells_of, notebook_exercise, source_of

SOLUTION = find_exercise("ch03").solution.read_text(encoding="utf-8")


def run(cells: list[str], names: tuple[str, ...] = ("f",)) -> Any:
    text = source_of(cells, names).text
    return evaluate.load(evaluate.compiled(text, "answer.py"))


def notebook(cells: list[str], **metadata: Any) -> str:
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


NOISE = [
    "check('ch03')",
    "%matplotlib inline",
    "!pip install numpy",
    "%%bash\necho $HOME",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
    "print(f(3))",
    "f(3)",
    "x = (",
    "f?",
    "def other():\n    return nothing",
    "from os import *",
    "try:\n    import nothing_of_this_name\nexcept ImportError:\n    %pip install nothing",
]


@given(st.lists(st.sampled_from(NOISE), max_size=6), st.integers(0, 6))
def test_noise_around_the_answer_does_not_matter(noise, place):
    cells = [*noise]
    cells.insert(min(place, len(cells)), "def f(x):\n    return 2 * x")
    assert run(cells).f(3) == 6


def test_what_the_answer_needs_comes_along():
    cells = [
        "from __future__ import annotations\nimport math\nfrom collections import deque as queue",
        "TABLE = {}\nTABLE['a'] = 1\nTABLE.update(b=2)\nunused = open('nothing')",
        "@staticmethod\ndef helper(x: Late) -> int:\n    return TABLE['a'] + TABLE['b'] + x",
        "class Late:\n    pass",
        "for letter in 'cd':\n    TABLE[letter] = 3",
        "def f(x):\n    return helper(x) + math.floor(1.5) + len(queue([1])) + len(TABLE)",
    ]
    assert run(cells).f(1) == 10


def test_the_last_definition_counts():
    assert run(["def f():\n    return 1", "def f():\n    return 2", "y = 1"]).f() == 2


def test_what_was_run_twice_counts_once():
    cell = "def f():\n    return 1"
    assert source_of([cell, cell.replace("1", "2"), cell], ["f"]).notes == ()
    wrapped = "g = f\nf = lambda: g() + 1"
    assert run([cell, wrapped, "def h(): pass"]).f() == 2


def test_a_broken_cell_is_named_only_where_the_answer_would_be():
    good, broken = "def f():\n    return 1", "def f(:\n    return 2"
    assert run([broken, good]).f() == 1
    assert run([good, broken]).f() == 1  # its earlier state is what the kernel has, too
    source = source_of(["x = 1", broken], ["f"])
    assert source.text == broken
    assert source.notes == ("line numbers count in code cell 2",)


def test_lines_keep_their_numbers():
    cell = "# a comment\nimport math\n\ndef f():\n    return math.sqrt(-1)"
    answer = run(["print('hello')", cell])
    with pytest.raises(ValueError, match=r"math domain|nonnegative") as error:
        answer.f()
    assert error.traceback[-1].lineno + 1 == 5
    assert math.isclose(run([cell.replace("-1", "4")]).f(), 2)


def test_an_import_of_the_future_stays_on_top():
    cells = [
        "x = 1",
        "from __future__ import annotations\ndef g(y: Unknown): return y",
        "from __future__ import annotations\ndef f(y: Unknown):\n    return g(y)",
    ]
    assert run(cells).f(4) == 4


@pytest.mark.parametrize("chapter", all_exercises(), ids=lambda chapter: chapter.name)
def test_each_exercise_notebook_is_graded_renamed_and_half_edited(chapter, tmp_path):
    text = (chapter.folder / "exercise.ipynb").read_text(encoding="utf-8")
    made = json.loads(text)
    place = next(
        cell
        for cell in made["cells"]
        if cell["cell_type"] == "code" and f"def {chapter.functions[0]}(" in "".join(cell["source"])
    )
    place["source"] = chapter.solution.read_text(encoding="utf-8").splitlines(keepends=True)
    made["cells"].insert(0, {"cell_type": "code", "source": "half = (1,\n", "outputs": 7})
    made["cells"].insert(1, {"cell_type": "code"})
    made["cells"].append("not a cell")
    path = tmp_path / "My answer (3), final.ipynb"
    path.write_text(json.dumps(made), encoding="utf-8")
    assert notebook_exercise(path) == chapter.name
    report = judge(chapter, answer_source(path, chapter.functions), path.name)
    assert report.has_full_marks, report.as_text()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "a notebook is JSON"),
        (b"[]", "a list of cells"),
        (b'{"cells": 3}', "a list of cells"),
        (b"\xff\xfe", "no UTF-8 text"),
        (b"[" * 100_000, "a notebook is JSON"),
        (None, "No such file"),
    ],
)
def test_what_is_no_notebook_is_one_line(content, why, tmp_path):
    path = tmp_path / "answer.ipynb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=why) as error:
        answer_source(path, ["f"])
    assert "\n" not in str(error.value)


def test_a_python_file_is_taken_as_it_is(tmp_path):
    path = tmp_path / "answer.py"
    path.write_bytes(b"\xef\xbb\xbf" + SOLUTION.replace("\n", "\r\n").encode())
    assert answer_source(path, ["gpipe"]).text == SOLUTION


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["cell_type", "source", "code"]),
                inner | st.just("code"),
                max_size=2,
            )
        ),
    )
)
def test_any_cells_are_read(cells):
    texts = cells_of({"cells": cells if isinstance(cells, list) else [cells]})
    assert all(type(text) is str for text in texts)


def test_a_path_that_is_a_folder(tmp_path):
    with pytest.raises(InputError, match="directory"):
        answer_source(Path(tmp_path), ["f"])
