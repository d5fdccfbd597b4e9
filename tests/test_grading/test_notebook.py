"""check and hint, in a real IPython shell."""

from __future__ import annotations

import json

import pytest

from dualpipe_ref import InputError
from dualpipe_ref.grading import browser, check, hint
from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.grading.notebook import Shown

SOLUTION = find_exercise("ch03").solution.read_text(encoding="utf-8")


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell

    made = InteractiveShell.instance()
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


def run(shell, *cells: str) -> Shown:
    for cell in cells:
        result = shell.run_cell(cell, store_history=True)
    result.raise_error()
    return result.result


def test_what_was_run_is_judged_and_the_last_definition_counts(shell, capsys):
    start = "%matplotlib --list\nfrom dualpipe_ref.grading import check"
    shown = run(shell, start, SOLUTION, "check('ch03')")
    assert shown.report.has_full_marks, repr(shown)
    broken = (
        "def one_f_one_b(rank, ranks, microbatches):\n    return gpipe(rank, ranks, microbatches)"
    )
    shown = run(shell, "print(1 +", broken, "check('one_f_one_b')")
    assert shown.report.total == "8 of 10 points"
    assert run(shell, SOLUTION, "check('ch03')").report.has_full_marks
    capsys.readouterr()


def test_a_missing_answer_and_a_loop_are_reports(shell):
    run(shell, "from dualpipe_ref.grading import check")
    assert "has no function gpipe" in run(shell, "check('gpipe')").report.outcomes[0].reason


def test_the_report_is_shown_with_the_failing_case(shell, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **_: shown.extend(what))
    wrong = find_exercise("ch03").folder / "wrong" / "warm_up_too_long.py"
    run(shell, wrong.read_text(), "from dualpipe_ref.grading import check", "x = check('ch03')")
    shell.user_ns["x"]._ipython_display_()
    bundle, viewer = shown
    assert "8 of 10 points" in bundle["text/html"]
    assert viewer.data["highlight"]["ops"] == [[1, 1]]


def test_outside_of_a_notebook_check_says_what_to_do():
    with pytest.raises(InputError, match="dualpipe-ref grade ch03 FILE"):
        check("ch03")
    with pytest.raises(InputError, match="an exercise is"):
        check("nothing")


def test_hints_grow_and_end():
    assert [hint("ch09", number).title[:6] for number in (1, 2, 3)] == [
        "Hint 1",
        "Hint 2",
        "Hint 3",
    ]
    assert "(2 of 3)" in hint("one_f_one_b", 2)._repr_markdown_()
    for number, nearest in ((0, 1), (4, 3)):
        with pytest.raises(InputError, match=f"nearest legal: hint {nearest}"):
            hint("ch03", number)


@pytest.mark.parametrize(("source", "points"), [(SOLUTION, 10), ("def gpipe(:", 0), ("exit()", 0)])
def test_a_page_gets_the_same_report_without_a_process(source, points):
    report = browser.check("ch03", source)
    assert report["points"] == points
    assert json.dumps(report, allow_nan=False)
