"""Every chapter's parts: the solution passes, the skeleton does not, each wrong answer is rejected as it says."""

from __future__ import annotations

import ast
import doctest
import re
from functools import cache

import pytest

from dualpipe_ref.grading import evaluate
from dualpipe_ref.grading.checks import Outcome, Status, all_pass
from dualpipe_ref.grading.exercises import Exercise, all_exercises
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.report import Report
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.grading.source import Source

ALL = all_exercises()
WRONG = [(chapter, path) for chapter in ALL for path in chapter.wrong]
# How a chapter says for which size an answer fails, where it is not by ranks and micro-batches.
SIZE = {
    "ch01": "",
    "ch05": r"T = \d+|P = \d+, m = \d+",
    "ch06": r"P = \d+|copies = \d+",
    "ch07": r"N = \d+",
    "ch08": r"layers = \d+",
    "ch11": r"P = \d+, m = \d+|layers = \d+",
    "ch12": r"N = \d+|S = \d+",
    "ch13": r"size = \d+|ranks = \d+",
    "ch14": r"N = \d+",
}
# Checks that judge numbers, where there is nothing to look at.
NUMBERS = (
    {("ch04", "closed form"), ("ch04", "best v"), ("ch13", "lean")}
    | {("ch05", check) for check in ("linear I", "linear W", "stack", "kept")}
    | {("ch11", check) for check in ("equal", "kept", "once more")}
    | {("ch06", check) for check in ("placement", "exchanges", "same bits")}
    | {
        ("ch07", check)
        for check in ("choice", "weights", "counts", "places", "starts", "bytes", "spread")
    }
    | {
        ("ch12", check)
        for check in ("tasks", "turns", "numbers", "sms", "verdict", "split", "links", "break even")
    }
    | {
        ("ch14", check)
        for check in ("prefixes", "rows", "once", "copies", "rings", "rounding", "sums")
    }
    | {
        ("ch16", check)
        for check in ("pair", "domain", "memory", "choice", "flip", "numbers", "complete")
    }
)
FIRST_LINE = re.compile(r"# rejected by ([A-Za-z0-9, ]+): \S.*")

each_chapter = pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.name)
each_wrong = pytest.mark.parametrize(
    ("chapter", "path"), WRONG, ids=[f"{chapter.name}-{path.stem}" for chapter, path in WRONG]
)


@cache
def report_of(chapter: Exercise, path) -> Report:
    return judge(chapter, Source(path.read_text(encoding="utf-8")), path.name)


def outcomes_of(chapter: Exercise, path) -> list[Outcome]:
    return list(report_of(chapter, path).outcomes)


def module_of(path):
    return evaluate.load(evaluate.compiled(path.read_text(encoding="utf-8"), path.name))


def failed(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status is Status.FAIL]


def test_the_chapters_are_there():
    assert {"ch02", "ch03", "ch09", "ch10"} <= {chapter.name for chapter in ALL}


@each_chapter
def test_the_solution_passes_every_check(chapter):
    outcomes = outcomes_of(chapter, chapter.solution)
    assert all_pass(outcomes), [outcome for outcome in outcomes if outcome.reason]
    assert report_of(chapter, chapter.solution).total == "10 of 10 points"


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
    assert modules <= {
        "__future__",
        "typing",
        "collections",
        "collections.abc",
        "fractions",
        "itertools",
    }


@each_chapter
def test_the_skeleton_passes_nothing(chapter):
    report = judge(chapter, Source(skeleton_of(chapter.solution)))
    outcomes = list(report.outcomes)
    assert outcomes
    assert report.points == 0
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
    assert re.search(SIZE.get(chapter.name, r"P = \d+, m = \d+"), first.reason)


@each_wrong
def test_a_wrong_answer_has_the_functions_asked_for(chapter, path):
    """Otherwise it would be rejected for that alone."""
    assert set(chapter.functions) <= set(evaluate.functions_of(module_of(path)))


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
    assert f"dualpipe-ref grade exercises/{chapter.name}" in text
    assert f"```{{answer}} {chapter.name}\n```" in text
    assert "{include} hints.md" in text
    assert "Difficulty:" in text


@each_chapter
def test_the_examples_on_the_page_are_true(chapter):
    text = (chapter.folder / "exercise.md").read_text(encoding="utf-8")
    names = dict(vars(module_of(chapter.solution)))
    examples = doctest.DocTestParser().get_doctest(text, names, chapter.name, None, 0)
    assert len(examples.examples) >= 2
    runner = doctest.DocTestRunner()
    said: list[str] = []
    runner.run(examples, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@each_chapter
def test_checks_say_the_same_twice(chapter):
    path = chapter.wrong[0]
    again = judge(chapter, Source(path.read_text(encoding="utf-8")), path.name)
    assert again.as_dict() == report_of(chapter, path).as_dict()


@each_chapter
def test_ten_points_and_a_hint_for_each_check(chapter):
    assert sum(check.points for check in chapter.checks) == 10
    assert all(check.points > 0 and check.hint for check in chapter.checks)


@each_wrong
def test_the_failing_case_of_a_schedule_can_be_looked_at(chapter, path):
    """What is judged by running it is shown running; numbers speak for themselves."""
    for outcome in failed(outcomes_of(chapter, path)):
        if outcome.case is None:
            assert (
                chapter.name == "ch01"
                or "is no op" in outcome.reason
                or "use F and B alone" in outcome.reason
                or "micro-batch" in outcome.reason
                or (chapter.name == "ch08" and outcome.check.name == "complete")
                or (chapter.name == "ch13" and " yields " in outcome.reason)
                or (chapter.name, outcome.check.name) in NUMBERS
            )
            continue
        drawn = outcome.case.as_data()
        assert drawn is not None
        if chapter.name == "ch13":
            assert len(drawn["steps"]) == 1 + len(outcome.case.trace)
        elif chapter.name == "ch08":
            assert [lane["name"] for lane in drawn["lanes"]] == ["computation", "communication"]
        else:
            assert len(drawn["ops"]) == drawn["ranks"]
        assert max(map(len, outcome.case.as_text().splitlines())) <= 100
