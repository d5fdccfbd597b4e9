"""What a page asks of an exercise. There is no child process in a browser, and a page may do little there."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.grading.answers import InProcessAnswer
from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.source import Source


def check(name: str, source: str) -> dict[str, Any]:
    """The report on an answer, ready for JSON (`Report.as_dict`).

    >>> check("ch03", "def gpipe(:")["checks"][0]["reason"]
    'answer.py, line 1: invalid syntax'
    """
    return judge(find_exercise(name), Source(source), runner=InProcessAnswer).as_dict()
