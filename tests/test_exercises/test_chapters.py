"""Every chapter's parts: the solution passes, the skeleton does not, each wrong answer is rejected as it says."""

from __future__ import annotations

import ast
import doctest
import re
from functools import cache

import pytest

from dualpipe_ref.grading.answers import load_answer
from dualpipe_ref.grading.checks import Outcome, Status, all_pass, grade
from dualpipe_ref.grading.exercises import Exercise, all_exercises
from dualpipe_ref.grading.skeleton import skeleton_of

ALL = all_exercises()
WRONG = [(chapter, path) for chapter in ALL for path in chapter.wrong]
FIRST_LINE = re.compile(r"# rejected by ([a-z0-9 ]+): \S.*")

each_chapter = pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.name)
each_wrong = pytest.mark.parametrize(
    ("chapter", "path"), WRONG, ids=[f"{chapter.name}-{path.stem}" for chapter, path in WRONG]
)


@cache
def outcomes_of(chapter: Exercise, path) -> list[Outcome]:
    return grade(chapter.checks, load_answer(path))


def failed(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status is Status.FAIL]


def test_the_chapters_are_there():
    assert {"ch02", "ch03", "ch09"} <= {chapter.name for chapter in ALL}


@each_chapter
def test_the_solution_passes_every_check(chapter):
    outcomes = outcomes_of(chapter, chapter.solution)
    assert all_pass(outcomes), [outcome for outcome in outcomes if outcome.reason]


@each_chapter
def test_the_solution_uses_nothing_of_the_package(chapter):
    tree = ast.parse(chapter.solution.read_text(encoding="utf-8"))
    modules = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert modules <= {"__future__", "typing", "collections", "itertools"}


@each_chapter
def test_the_skeleton_passes_nothing(chapter, tmp_path):
    path = tmp_path / "skeleton.py"
    path.write_text(skeleton_of(chapter.solution), encoding="utf-8")
    outcomes = grade(chapter.checks, load_answer(path))
    assert outcomes
    assert all(outcome.status is not Status.PASS for outcome in outcomes)
    assert all("is not written yet" in outcome.reason for outcome in failed(outcomes))


@each_chapter
def test_the_skeleton_keeps_each_function_and_nothing_of_the_answer(chapter):
    tree = ast.parse(skeleton_of(chapter.solution))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions] == chapter.functions != []
    for node in functions:
        docstring, body = node.body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(body, ast.Raise)
    assert not [node for node in tree.body if isinstance(node, ast.ClassDef)]


@each_wrong
def test_a_wrong_answer_is_rejected_by_the_check_that_it_names(chapter, path):
    stated = FIRST_LINE.fullmatch(path.read_text(encoding="utf-8").splitlines()[0])
    assert stated, f"{path}: the first line is '# rejected by <check>: <why>'"
    first, *_ = failed(outcomes_of(chapter, path))
    assert first.check.name == stated[1]
    assert re.search(r"P = \d+, m = \d+", first.reason)


@each_wrong
def test_a_wrong_answer_has_the_functions_asked_for(chapter, path):
    """Otherwise it would be rejected for that alone."""
    answer = load_answer(path)
    assert all(callable(getattr(answer, name)) for name in chapter.functions)


@each_chapter
def test_there_are_enough_wrong_answers_and_no_idle_check(chapter):
    assert len(chapter.wrong) >= 4
    rejecting = {
        outcome.check.name
        for path in chapter.wrong
        for outcome in failed(outcomes_of(chapter, path))
    }
    assert rejecting == {check.name for check in chapter.checks}


@each_chapter
def test_check_names_are_unique_and_needs_come_before(chapter):
    before: set[str] = set()
    for check in chapter.checks:
        assert set(check.needs) <= before
        assert check.name not in before
        before.add(check.name)


@each_chapter
def test_three_hints(chapter):
    text = (chapter.folder / "hints.md").read_text(encoding="utf-8")
    hints = re.findall(r"^:::\{dropdown\} Hint (\d): .+\n((?:.+\n)+):::$", text, re.MULTILINE)
    assert [number for number, _ in hints] == ["1", "2", "3"]
    assert all(len(body) > 100 for _, body in hints)


@each_chapter
def test_the_page_names_functions_checks_and_command(chapter):
    text = (chapter.folder / "exercise.md").read_text(encoding="utf-8")
    for name in chapter.functions:
        assert f"def {name}(" in text
    for check in chapter.checks:
        assert f"`{check.name}`" in text
    assert f"python -m exercises.check {chapter.name} my_answer.py" in text
    assert "{include} hints.md" in text
    assert "Difficulty:" in text
    assert "jupytext" not in text


@each_chapter
def test_the_examples_on_the_page_are_true(chapter):
    text = (chapter.folder / "exercise.md").read_text(encoding="utf-8")
    names = dict(vars(load_answer(chapter.solution)))
    examples = doctest.DocTestParser().get_doctest(text, names, chapter.name, None, 0)
    assert len(examples.examples) >= 2
    runner = doctest.DocTestRunner()
    said: list[str] = []
    runner.run(examples, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@each_chapter
def test_checks_say_the_same_twice(chapter):
    path = chapter.wrong[0]
    again = grade(chapter.checks, load_answer(path))
    assert [outcome[1:] for outcome in again] == [
        outcome[1:] for outcome in outcomes_of(chapter, path)
    ]
