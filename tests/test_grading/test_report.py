"""Reports say what was found: no more points than were earned, and nothing of the reader's runs in them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.grading.checks import Check, Fault, Status, grade
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.grading.notebook import as_html
from dualpipe_ref.grading.report import Report
from dualpipe_ref.schedule import build

CHECKS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 5), st.sets(st.integers(0, 5), max_size=2)), max_size=6
)


def report_on(plan) -> Report:
    checks = [
        Check(
            str(number),
            "promise <b>",
            lambda _, holds=holds: None if holds else "reason <script>",
            needs=tuple(str(need) for need in needs if need < number),
            points=points,
            hint="hint & more",
        )
        for number, (holds, points, needs) in enumerate(plan)
    ]
    return Report("ch00", "Title <i>", grade(checks, None), "printed </pre>", ("note <u>",))


@given(CHECKS)
def test_points_are_those_of_the_checks_that_pass(plan):
    report = report_on(plan)
    passed = [outcome for outcome in report.outcomes if outcome.status is Status.PASS]
    assert report.points == sum(outcome.check.points for outcome in passed)
    assert report.max_points == sum(points for _, points, _ in plan)
    assert report.has_full_marks == (bool(plan) and len(passed) == len(plan))
    scores = report.as_gradescope()
    assert scores["score"] == sum(test["score"] for test in scores["tests"]) == report.points
    assert report.as_dict()["points"] == sum(
        check["points"] for check in report.as_dict()["checks"]
    )
    json.dumps([scores, report.as_dict()], allow_nan=False)


@given(CHECKS)
def test_what_needs_a_failed_check_is_not_tried(plan):
    outcomes = {outcome.check.name: outcome for outcome in report_on(plan).outcomes}
    for outcome in outcomes.values():
        lacking = [name for name in outcome.check.needs if outcomes[name].status is not Status.PASS]
        assert (outcome.status is Status.NOT_TRIED) == bool(lacking)


def test_no_text_becomes_html():
    said = as_html(report_on([(False, 1, set()), (True, 2, set())]))
    for tag in ("<script>", "<b>", "<i>", "<u>", "</pre></pre>", "printed </pre>"):
        assert tag not in said
    assert "&lt;script&gt;" in said
    assert "2 of 3 points" in said


def test_the_first_failing_case_is_drawn_once():
    case = Counterexample.at(build("1f1b", 2, 2), [(0, 1)], "look here")
    checks = [Check(name, "p", lambda _: Fault("r", case)) for name in ("one", "two")]
    report = Report("ch00", "T", grade(checks, None))
    assert report.as_text().count("[F0.1]") == 1
    assert all(check["counterexample"] for check in report.as_dict()["checks"])


def test_a_case_too_large_for_the_viewer_is_text_only():
    case = Counterexample.of_schedule(build("1f1b", 8, 1300))
    assert case.as_data() is None
    assert max(map(len, case.as_text().splitlines())) <= 96


def test_every_hint_can_be_read():
    for title, text in find_exercise("ch03").hints:
        assert title.startswith("Hint ")
        assert len(text) > 100
