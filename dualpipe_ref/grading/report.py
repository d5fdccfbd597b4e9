"""What the checks found: as text, as JSON, and as Gradescope's results.json."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dualpipe_ref.grading.answers import AnswerError
from dualpipe_ref.grading.checks import Answer, Outcome, Status, grade
from dualpipe_ref.grading.exercises import Exercise

WIDTH = 100


@dataclass(frozen=True)
class Report:
    """The outcomes of one answer. `notes` say what a reader should know of how it was judged."""

    exercise: str
    title: str
    outcomes: Sequence[Outcome]
    printed: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def points(self) -> int:
        return sum(outcome.points for outcome in self.outcomes)

    @property
    def max_points(self) -> int:
        return sum(outcome.check.points for outcome in self.outcomes)

    @property
    def has_full_marks(self) -> bool:
        """Whether something was checked and everything passed."""
        return bool(self.outcomes) and self.points == self.max_points

    @property
    def total(self) -> str:
        return f"{self.points} of {self.max_points} points"

    def as_text(self) -> str:
        """A table for a terminal; under the first check that fails, the smallest case as a timeline."""
        lines = [self.title, *_wrapped(self.notes, ""), *self._table()]
        if self.printed:
            lines += ["Your code printed:", textwrap.indent(self.printed.rstrip("\n"), "  ")]
        return "\n".join([*lines, self.total])

    def _table(self) -> list[str]:
        """A line for each check with what it promises; under one that fails, the reason and the hint."""
        names = max((len(outcome.check.name) for outcome in self.outcomes), default=0)
        lines, was_shown = [], False
        for outcome in self.outcomes:
            check, points = outcome.check, f"{outcome.points}/{outcome.check.points}"
            start = f"  {outcome.status:9} {points:>5}  {check.name:{names}}  "
            lines += _wrapped([check.promise], start, " " * len(start))
            said = [outcome.reason, check.hint and f"Hint: {check.hint}"]
            if outcome.status is not Status.PASS:
                lines += _wrapped(said if outcome.status is Status.FAIL else said[:1], " " * 19)
            if outcome.case and not was_shown:
                lines += ["", textwrap.indent(outcome.case.as_text(), "    "), ""]
                was_shown = True
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON; each failing case as the data of the viewer (`dualpipe_ref.plot.viewer_data`)."""
        return {
            "exercise": self.exercise,
            "title": self.title,
            "points": self.points,
            "max_points": self.max_points,
            "notes": list(self.notes),
            "printed": self.printed,
            "checks": [_check(outcome) for outcome in self.outcomes],
        }

    def as_gradescope(self) -> dict[str, Any]:
        """What Gradescope's autograder reads as results/results.json."""
        return {
            "score": self.points,
            "output": "\n".join([self.title, *self.notes]),
            "output_format": "text",
            "visibility": "visible",
            "stdout_visibility": "visible",
            "tests": [
                {
                    "number": str(number),
                    "name": f"{outcome.check.name}: {outcome.check.promise}",
                    "score": outcome.points,
                    "max_score": outcome.check.points,
                    "status": "passed" if outcome.status is Status.PASS else "failed",
                    "output": _said(outcome),
                    "output_format": "text",
                    "visibility": "visible",
                }
                for number, outcome in enumerate(self.outcomes, start=1)
            ],
        }


def report(exercise: Exercise, answer: Answer, notes: Sequence[str] = ()) -> Report:
    """Judge an answer: an object with the reader's functions, `printed` and `notes`, such as a `Sandbox`."""
    outcomes = grade(exercise.checks, answer)
    judged_on = dict.fromkeys(outcome.note for outcome in outcomes if outcome.note)
    return Report(
        exercise.name,
        exercise.title,
        outcomes,
        answer.printed,
        (*notes, *answer.notes, *judged_on),
    )


def not_loaded(exercise: Exercise, error: AnswerError, notes: Sequence[str] = ()) -> Report:
    """No points, since there is nothing to ask: the answer has a syntax error, or raises as it is loaded."""
    outcomes = [
        Outcome(check, Status.NOT_TRIED if number else Status.FAIL, "" if number else str(error))
        for number, check in enumerate(exercise.checks)
    ]
    return Report(exercise.name, exercise.title, outcomes, notes=tuple(notes))


def _wrapped(texts: Sequence[str], margin: str, further: str | None = None) -> list[str]:
    """Broken into lines, but not inside a word: a long path stays whole."""
    further = margin if further is None else further
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text, WIDTH, initial_indent=margin, subsequent_indent=further, break_long_words=False
        )
    ]


def _said(outcome: Outcome) -> str:
    hint = outcome.check.hint if outcome.status is Status.FAIL else ""
    parts = [outcome.reason, hint and f"Hint: {hint}", outcome.case and outcome.case.as_text()]
    return "\n\n".join(part for part in parts if part)


def _check(outcome: Outcome) -> dict[str, Any]:
    check, case = outcome.check, outcome.case
    return {
        "name": check.name,
        "promise": check.promise,
        "status": str(outcome.status),
        "points": outcome.points,
        "max_points": check.points,
        "reason": outcome.reason,
        "hint": check.hint if outcome.status is Status.FAIL else "",
        "counterexample": case.as_data() if case else None,
    }
