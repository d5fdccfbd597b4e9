"""The parts that all chapters share: reading op lists, deriving skeletons, what chapter 2 asks about."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from types import SimpleNamespace

import pytest

from dualpipe_ref.grading.answers import InProcessAnswer
from dualpipe_ref.grading.checks import Fault, Status, all_pass, grade
from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.oplists import ask, growing, to_op, to_plain
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.grading.source import Source
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, simulate
from exercises.ch02.checks import GROUPS, cases
from exercises.ch02.checks import SIZES as KINDS
from exercises.ch03.checks import SIZES

NONSENSE = {
    "None": "return None",
    "a number": "return 3",
    "text": "return 'F0 B0'",
    "no ops": "return [1, 2]",
    "short ops": "return [('F', 0)]",
    "unknown kind": "return [('X', 0, 0)]",
    "text for numbers": "return [('F', '0', '0')]",
    "no such slot": "return [('F', 7, 0)]",
    "negative": "return [('F', 0, -1)]",
    "empty": "return []",
    "raises": "return 1 // 0",
    "exits": "exit(0)",
}


def with_body(functions, body, arguments="*_"):
    return "".join(f"def {name}({arguments}):\n    {body}\n" for name in functions)


@pytest.mark.parametrize("chapter", all_exercises(), ids=lambda chapter: chapter.name)
@pytest.mark.parametrize("nonsense", [*NONSENSE, "wrong signature"])
def test_nonsense_becomes_a_reason(chapter, nonsense):
    if nonsense == "wrong signature":
        source = with_body(chapter.functions, "return []", "a, b, c, d, e, f, g")
    else:
        source = with_body(chapter.functions, NONSENSE[nonsense])
    outcomes = judge(chapter, Source(source)).outcomes
    assert outcomes[0].status is Status.FAIL
    assert all(outcome.status is not Status.PASS for outcome in outcomes)
    assert all(outcome.reason and "\n" not in outcome.reason for outcome in outcomes)


@pytest.mark.parametrize("chapter", all_exercises(), ids=lambda chapter: chapter.name)
def test_a_missing_function_is_named(chapter):
    outcomes = judge(chapter, Source("x = 1")).outcomes
    assert f"no function {chapter.functions[0]}" in outcomes[0].reason


def test_ops_are_the_same_after_a_round_trip_and_as_json_lists():
    for kind in KINDS:
        for ops in build(kind, 2, 4).ops:
            assert [to_op(to_plain(op)) for op in ops] == list(ops)
    assert to_op(["FB", [0, 1], [1, 0]]) == to_op(("FB", (0, 1), (1, 0)))


@pytest.mark.parametrize(
    "item", [None, (), ("FB", 0, 1), ("FB", (0, 1)), ("F", 0, 1, 2), ("F", 0.0, 1)]
)
def test_what_is_no_op_is_refused(item):
    with pytest.raises(Fault, match="is no op"):
        to_op(item)


def test_a_list_that_holds_itself_is_refused():
    loop: list = ["F"]
    loop.append(loop)
    with pytest.raises(Fault, match="is no op"):
        to_op(loop)


class EqualToAll(str):
    """A cheat: it equals whatever it is compared with."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


class Chameleon(int):
    """The same for numbers."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True


def test_answers_that_equal_everything_are_refused():
    with pytest.raises(Fault, match="is no op"):
        to_op(("F", 0, Chameleon(0)))
    with pytest.raises(Fault, match="is no op"):
        to_op((EqualToAll("F"), 0, 0))
    answer = SimpleNamespace(find_problem=lambda schedule: EqualToAll("fine"))
    checks = next(chapter.checks for chapter in all_exercises() if chapter.name == "ch02")
    assert all(outcome.status is Status.FAIL for outcome in grade(checks, answer))


def test_sizes_grow_and_include_steps_shorter_than_the_pipeline():
    assert list(SIZES) == list(growing(set(SIZES)))
    assert len(SIZES) == 80  # the number on the page
    assert any(microbatches < ranks for ranks, microbatches in SIZES)


def test_nothing_checked_is_no_pass():
    assert not all_pass([])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1\n", "is missing"),
        ("# skeleton: begin\nx = 1\n", "is missing"),
        ("# skeleton: end\nx = 1\n", "has no partner"),
        ("# skeleton: begin\n# skeleton: begin\n# skeleton: end\n", "has no partner"),
    ],
)
def test_a_solution_with_bad_markers_has_no_skeleton(tmp_path, text, why):
    path = tmp_path / "solution.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        skeleton_of(path)


def test_every_case_belongs_to_one_check():
    for case in cases():
        assert sum(group.wanted(case) for group in GROUPS.values()) == 1


@pytest.mark.parametrize(
    ("name", "word", "least"),
    [
        ("correct schedules", "fine", 25),
        ("missing or doubled", "incomplete", 200),
        ("order", "order", 200),
        ("deadlock", "deadlock", 60),
        ("legal changes", "fine", 200),
    ],
)
def test_each_check_of_chapter_2_has_enough_cases_of_every_kind(name, word, least):
    found = [case for case in cases() if GROUPS[name].wanted(case)]
    assert {case.word for case in found} == {word}
    assert len(found) >= least
    assert {case.title.split(",")[0] for case in found} == set(KINDS)


def test_two_changes_meet_every_verdict():
    words = Counter(case.word for case in cases() if case.changes == 2)
    assert set(words) == {"fine", "incomplete", "order", "deadlock"}
    assert min(words.values()) >= 20


@pytest.mark.parametrize("size", [(2, 4), (4, 8), (8, 20), (16, 48)])
def test_what_the_page_of_chapter_9_says_of_overlapping_the_first_pair(size):
    path = find_exercise("ch09").folder / "wrong" / "middle_overlapped.py"
    answer = InProcessAnswer(path.read_text(encoding="utf-8"))
    overlapped, published = ask(answer, "dualpipe", "dualpipe", size), build("dualpipe", *size)

    def gain(pair: Fraction) -> Fraction:
        costs = Costs(FB=pair)
        return simulate(published, costs).makespan - simulate(overlapped, costs).makespan

    assert gain(Fraction(3)) == 0
    assert gain(Fraction(11, 5)) == Fraction(4, 5)
    assert gain(Fraction(4)) < 0


def test_a_question_may_be_torn_up():
    case = cases()[0]
    case.question()["ops"].clear()
    assert case.question()["ops"]
