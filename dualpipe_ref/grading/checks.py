"""What a check is, and how a list of them judges an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.recording import Evidence

# What a check is given: any object that has the reader's functions as attributes, such as a `Sandbox`.
# Checks only call these functions, with plain data and for plain data.
Answer = Any


class Fault(Exception):  # noqa: N818 - it is the reader's fault, not an error of the check
    """The reason why a check rejects an answer: one sentence, with the smallest failing case.

    `case` is that case as a run which can be looked at, where there is one.
    """

    def __init__(self, reason: str, case: Counterexample | None = None) -> None:
        super().__init__(reason)
        self.case = case


@dataclass(frozen=True)
class Check:
    """One named demand on an answer. Calling it gives None, or the `Fault` for which the answer fails.

    `find_fault` returns that fault or its reason, or raises it. `needs` names the checks without which
    this one says nothing: the memory of an order that forgets half of the work is of no interest.
    An answer that passes earns `points`; one that fails is shown the `hint`.
    Where a check judges what a GPU does, `evidence` brings that, and `find_fault` gets it as a second argument.

    >>> positive = Check("positive", "answers are positive", lambda answer: None if answer > 0 else "it is not")
    >>> positive(3), positive(-3)
    (None, Fault('it is not'))
    """

    name: str
    promise: str
    find_fault: Callable[..., str | Fault | None]
    needs: tuple[str, ...] = ()
    points: int = 1
    hint: str = ""
    evidence: Callable[[], Evidence] | None = None

    def __call__(self, answer: Answer, *evidence: Evidence) -> Fault | None:
        try:
            found = self.find_fault(answer, *evidence)
        except Fault as fault:
            return fault
        return Fault(found) if isinstance(found, str) else found


class Status(StrEnum):
    """How a check ended. Only PASS is good."""

    PASS = "pass"
    FAIL = "FAIL"
    NOT_TRIED = "not tried"


class Outcome(NamedTuple):
    """One line of the result. `reason` is empty where the check passes; `note` says what it was judged on."""

    check: Check
    status: Status
    reason: str = ""
    case: Counterexample | None = None
    note: str = ""

    @property
    def points(self) -> int:
        """What this check earned."""
        return self.check.points if self.status is Status.PASS else 0


def grade(checks: Iterable[Check], answer: Answer) -> list[Outcome]:
    """Run the checks in order; one whose `needs` have not all passed is not tried.

    >>> never = Check("never", "cannot hold", lambda answer: "it never does")
    >>> after = Check("after", "comes later", lambda answer: None, needs=("never",))
    >>> [(str(outcome.status), outcome.reason) for outcome in grade([never, after], 1)]
    [('FAIL', 'it never does'), ('not tried', 'needs: never')]
    """
    outcomes: list[Outcome] = []
    passed: set[str] = set()
    for check in checks:
        lacking = [name for name in check.needs if name not in passed]
        if lacking:
            outcomes.append(Outcome(check, Status.NOT_TRIED, f"needs: {', '.join(lacking)}"))
            continue
        outcomes.append(_outcome(check, answer))
        if outcomes[-1].status is Status.PASS:
            passed.add(check.name)
    return outcomes


def _outcome(check: Check, answer: Answer) -> Outcome:
    evidence = [check.evidence()] if check.evidence else []
    note = evidence[0].origin if evidence else ""
    fault = check(answer, *evidence)
    if fault is None:
        return Outcome(check, Status.PASS, note=note)
    return Outcome(check, Status.FAIL, str(fault), fault.case, note)


def all_pass(outcomes: list[Outcome]) -> bool:
    """Whether something was checked and nothing was found."""
    return bool(outcomes) and all(outcome.status is Status.PASS for outcome in outcomes)
