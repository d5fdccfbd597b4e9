"""What a check is, and how a list of them judges an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

# What a check is given: any object that has the reader's functions as attributes. Here it is the
# reader's module. Checks only call these functions, with plain data and for plain data, so that an
# object that calls them in another process can stand in its place.
Answer = Any


class Fault(Exception):  # noqa: N818 - it is the reader's fault, not an error of the check
    """The reason why a check rejects an answer: one sentence, with the smallest failing case."""


@dataclass(frozen=True)
class Check:
    """One named demand on an answer. Calling it gives None, or the reason why the answer fails.

    `find_fault` returns that reason or raises it as `Fault`. `needs` names the checks without which
    this one says nothing: the memory of an order that forgets half of the work is of no interest.

    >>> positive = Check("positive", "answers are positive", lambda answer: None if answer > 0 else "it is not")
    >>> positive(3), positive(-3)
    (None, 'it is not')
    """

    name: str
    promise: str
    find_fault: Callable[[Answer], str | None]
    needs: tuple[str, ...] = ()

    def __call__(self, answer: Answer) -> str | None:
        try:
            return self.find_fault(answer)
        except Fault as fault:
            return str(fault)


class Status(StrEnum):
    """How a check ended. Only PASS is good."""

    PASS = "pass"
    FAIL = "FAIL"
    NOT_TRIED = "not tried"


class Outcome(NamedTuple):
    """One line of the result. `reason` is empty where the check passes."""

    check: Check
    status: Status
    reason: str


def grade(checks: Iterable[Check], answer: Answer) -> list[Outcome]:
    """Run the checks in order; one whose `needs` have not all passed is not tried.

    >>> never = Check("never", "cannot hold", lambda answer: "it never does")
    >>> after = Check("after", "comes later", lambda answer: None, needs=("never",))
    >>> [(str(status), reason) for _, status, reason in grade([never, after], 1)]
    [('FAIL', 'it never does'), ('not tried', 'needs: never')]
    """
    outcomes: list[Outcome] = []
    passed: set[str] = set()
    for check in checks:
        lacking = [name for name in check.needs if name not in passed]
        if lacking:
            outcomes.append(Outcome(check, Status.NOT_TRIED, f"needs: {', '.join(lacking)}"))
            continue
        reason = check(answer)
        if reason is None:
            passed.add(check.name)
        outcomes.append(Outcome(check, Status.FAIL if reason else Status.PASS, reason or ""))
    return outcomes


def all_pass(outcomes: list[Outcome]) -> bool:
    """Whether something was checked and nothing was found."""
    return bool(outcomes) and all(outcome.status is Status.PASS for outcome in outcomes)
