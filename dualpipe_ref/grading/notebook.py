"""`check` and `hint` inside a notebook: they judge what was run there, in a process of its own."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from dualpipe_ref.grading.exercises import Exercise, all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.report import Report
from dualpipe_ref.grading.source import source_of
from dualpipe_ref.schedule.errors import InputError


def check(name: str) -> Shown:
    """Judge the answer in the cells that were run so far: `check("ch03")`, or by a function, `check("gpipe")`.

    The last definition counts. Raises `InputError` for a name that no exercise has, and outside of a notebook.

    >>> check("ch03")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: check() reads the cells of a notebook; got no notebook; \
nearest legal: dualpipe-ref grade ch03 FILE
    """
    exercise = _exercise(name)
    return Shown(judge(exercise, source_of(_cells_that_ran(exercise), exercise.functions)))


def hint(name: str, number: int = 1) -> Hint:
    """Hint `number` of an exercise, each stronger than the one before.

    >>> hint("ch03", 2)
    Hint 2: how long is the warm-up? (2 of 3)
    ...
    """
    hints = _exercise(name).hints
    if not 1 <= number <= len(hints):
        nearest = min(max(number, 1), len(hints))
        raise InputError(f"{name} has hints 1 to {len(hints)}", f"hint {number}", f"hint {nearest}")
    return Hint(*hints[number - 1], number, len(hints))


def _exercise(name: str) -> Exercise:
    """By its own name, or by that of one of its functions."""
    for exercise in all_exercises():
        if name in exercise.functions:
            return exercise
    return find_exercise(name)


def _cells_that_ran(exercise: Exercise) -> Sequence[str]:
    """The texts of the cells in the order in which they were run, this one among them."""
    try:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
    except ImportError:
        shell = None
    if shell is None:
        raise InputError(
            "check() reads the cells of a notebook",
            "no notebook",
            f"dualpipe-ref grade {exercise.name} FILE",
        )
    ran: Any = shell.user_ns.get("In", ())
    return [text for text in ran if isinstance(text, str)]


class Shown:
    """A report as the result of a cell: text, and in a notebook a table with the failing case as a timeline."""

    def __init__(self, found: Report) -> None:
        self.report = found

    def __repr__(self) -> str:
        return self.report.as_text()

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display({"text/plain": repr(self), "text/html": as_html(self.report)}, raw=True)
        case = next((outcome.case for outcome in self.report.outcomes if outcome.case), None)
        data = case.as_data() if case else None
        if data is None:
            return
        try:
            from dualpipe_ref.plot.widget import viewer_of
        except ImportError:  # without anywidget: the timeline in plain characters is in the text
            assert case
            display(HTML(f"<pre>{html.escape(case.as_text())}</pre>"))
        else:
            display(viewer_of(data))


def as_html(found: Report) -> str:
    """Title, notes, a table of checks, what the answer printed, and the points; all text is escaped."""
    rows = "".join(_row(check) for check in found.as_dict()["checks"])
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in found.notes)
    printed = (
        f"<p>Your code printed:</p><pre>{html.escape(found.printed)}</pre>" if found.printed else ""
    )
    head = "".join(
        f'<th scope="col" style="text-align:left">{text}</th>'
        for text in ("", "check", "what it asks", "points")
    )
    return (
        f"<p><strong>{html.escape(found.title)}: {found.total}</strong></p>{notes}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{printed}"
    )


def _row(check: dict[str, Any]) -> str:
    said = [check["promise"], check["reason"], check["hint"] and f"Hint: {check['hint']}"]
    asks = "<br>".join(html.escape(text) for text in said if text)
    return (
        f"<tr><td>{html.escape(check['status'])}</td>"
        f'<th scope="row" style="text-align:left">{html.escape(check["name"])}</th>'
        f'<td style="text-align:left">{asks}</td>'
        f"<td>{check['points']} of {check['max_points']}</td></tr>"
    )


class Hint:
    """One hint as the result of a cell."""

    def __init__(self, title: str, text: str, number: int, count: int) -> None:
        self.title, self.text, self.number, self.count = title, text, number, count

    def __repr__(self) -> str:
        return f"{self.title} ({self.number} of {self.count})\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"**{self.title}** ({self.number} of {self.count})\n\n{self.text}"
