"""From the text of an answer to the report on it."""

from __future__ import annotations

import sys
from typing import Any

from dualpipe_ref.grading.answers import AnswerError, InProcessAnswer
from dualpipe_ref.grading.exercises import Exercise
from dualpipe_ref.grading.report import Report, not_loaded, report
from dualpipe_ref.grading.sandbox import Sandbox
from dualpipe_ref.grading.source import Source

# In a browser there are no processes; there the page itself is the box.
RUNNER: Any = InProcessAnswer if sys.platform == "emscripten" else Sandbox


def judge(
    exercise: Exercise, source: Source, filename: str = "answer.py", runner: Any = RUNNER
) -> Report:
    """Run the checks of an exercise on an answer; an answer that cannot be loaded gets no points.

    >>> from dualpipe_ref.grading.exercises import find_exercise
    >>> chapter = find_exercise("ch03")
    >>> judge(chapter, Source(chapter.solution.read_text(encoding="utf-8"))).total
    '10 of 10 points'
    >>> judge(chapter, Source("1 / 0")).outcomes[0].reason
    'answer.py: loading it raised ZeroDivisionError: division by zero (line 1)'
    """
    try:
        with runner(source.text, filename) as answer:
            return report(exercise, answer, source.notes)
    except AnswerError as error:
        return not_loaded(exercise, error, source.notes)
