"""What an answer to chapter 16 must do: keep books, know a formula's domain, choose, and say what it computed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.numbers import in_words, is_close

from .demands import missing
from .runs import Judged, runs
from .truth import Row, costs_of, order, parts
from .words import quoted, unknown

WHY = {
    "order": "there is no such order for this P and m",
    "pair": "FB is below max(F, B), which no pair can be",
    "costs": "the formula does not hold for these costs and this m, and nothing was simulated at it",
}


def fault(judged: Judged, what: str, row: Row | None = None) -> Fault:
    """What is wrong on a run, with the order in question where there is one."""
    run = judged.run
    schedule = order(row.name, run.ranks, run.microbatches) if row else None
    reason = f"{run}: {what}"
    if row is None or schedule is None:
        return Fault(reason)
    costs = costs_of(run).per_stage_share(schedule)
    return Fault(
        reason, Counterexample.at(schedule, (), f"{row.name} on this run, times in ms", costs)
    )


def same(said: object, right: Any) -> bool:
    """Whether an answer's value is the right one; numbers may be floats."""
    if type(right) in (int, Fraction):
        return is_close(said, Fraction(right))
    return type(said) is type(right) and said == right


def told(answer: Answer, name: str, judged: Judged, keys: tuple[str, ...]) -> dict[str, Any]:
    """The dict that a function of the answer returns, with all its keys."""
    got = call(answer, name, judged.run.plain())
    if type(got) is not dict or not set(keys) <= set(got):
        raise fault(judged, f"{name} returns {short(got)}, not a dict with {', '.join(keys)}")
    return got


def differences(answer: Answer, name: str, judged: Judged, right: dict[str, Any]) -> Fault | None:
    got = told(answer, name, judged, tuple(right))
    for key, value in right.items():
        if not same(got[key], value):
            what = f"{name} says {key} = {in_words(got[key])}; right is {in_words(value)}"
            return fault(judged, what)
    return None


def pair(answer: Answer) -> Fault | None:
    """The ops and the pair, with its parts."""
    for judged in runs():
        if found := differences(answer, "ledger", judged, parts(judged.run)):
            return found
    return None


def rows(answer: Answer, judged: Judged) -> list[dict[str, Any]]:
    """The answer's rows: a dict for each candidate, in order."""
    got = call(answer, "candidates", judged.run.plain())
    names = [row.name for row in judged.rows]
    keys = ("name", "time", "tier", "why", "lost", "bytes", "fits", "hours")
    fine = type(got) is list and all(type(row) is dict and set(keys) <= set(row) for row in got)
    if not fine or [row["name"] for row in got] != names:
        raise fault(judged, f"candidates returns {short(got)}, not a row for each of {names}")
    found: list[dict[str, Any]] = got
    return found


def judged_by(
    keys: tuple[str, ...], concerns: Callable[[Row], bool] = lambda row: True
) -> Callable[[Answer], Fault | None]:
    """A check: these keys are right in the rows that it concerns."""

    def find_fault(answer: Answer) -> Fault | None:
        for judged in runs():
            for got, row in zip(rows(answer, judged), judged.rows, strict=True):
                for key in keys if concerns(row) else ():
                    right = getattr(row, key)
                    if not same(got[key], right):
                        because = f" ({WHY[row.why]})" if row.why else ""
                        said, wanted = in_words(got[key]), in_words(right)
                        what = f"{row.name}: {key} = {said}; right is {wanted}{because}"
                        return fault(judged, what, row)
        return None

    return find_fault


def choice(answer: Answer) -> Fault | None:
    """Choice, runner-up and margin, or what comes nearest."""
    for judged in runs():
        if found := differences(answer, "decide", judged, judged.decision._asdict()):
            return found
    return None


def flip(answer: Answer) -> Fault | None:
    """All three numbers at which the choice becomes another one."""
    for judged in runs()[::2]:  # each asks for a choice some sixty times
        if found := differences(answer, "flip", judged, judged.flip._asdict()):
            return found
    return None


def memo_of(answer: Answer, judged: Judged) -> str:
    got = call(answer, "memo", judged.run.plain())
    if type(got) is not str:
        raise fault(judged, f"memo returns {short(got)}, not text")
    return got


def numbers(answer: Answer) -> Fault | None:
    """Each number of the memo was given or computed, and belongs to whom it is said of."""
    for judged in told_in_words():
        memo = memo_of(answer, judged)
        if not any(map(quoted, memo.splitlines())):
            return fault(judged, "the memo quotes no number")
        if found := unknown(judged, memo):
            number, line, why = found
            return fault(judged, f"{str(number)!r} {why}, in the line {line!r:.150}")
    return None


def complete(answer: Answer) -> Fault | None:
    """The memo says what a decision needs."""
    for judged in told_in_words():
        if lacking := missing(judged, memo_of(answer, judged)):
            return fault(judged, lacking)
    return None


def told_in_words() -> tuple[Judged, ...]:
    """Every fourth run: a memo takes as long as all the rest."""
    return runs()[::4]


CHECKS = (
    Check(
        "pair",
        "F, B and the pair, with what it hides, what it leaves exposed, and its SM tax",
        pair,
        points=1,
        hint="computation is stretched by all SMs over those it keeps; an all-to-all hides beside computation alone",
    ),
    Check(
        "time",
        "inside a formula's domain the step's time is the simulated one",
        judged_by(("time", "tier"), lambda row: row.tier == "formula"),
        needs=("pair",),
        points=2,
        hint="which ops have the all-to-all in the open, and how much of the model is in one stage of this order?",
    ),
    Check(
        "domain",
        "outside of it there is the simulated time or none, with the reason",
        judged_by(("time", "tier", "why"), lambda row: row.tier != "formula"),
        needs=("pair",),
        points=1,
        hint="before you use a formula, ask three things: is there such an order, can the pair be, do the costs allow it",
    ),
    Check(
        "memory",
        "the bytes of the fullest rank, and whether they fit",
        judged_by(("bytes", "fits")),
        points=1,
        hint="who holds the parameters twice, who shares the states, and how large is a chunk of this order?",
    ),
    Check(
        "hours",
        "GPU hours per trillion tokens, and the part of a step that is lost",
        judged_by(("hours", "lost")),
        needs=("time", "domain"),
        points=1,
        hint="count all GPUs and the tokens of all pipelines, or neither",
    ),
    Check(
        "choice",
        "the fastest that fits, the next one, and the margin; of equals the smaller; or what comes nearest",
        choice,
        needs=("memory", "hours"),
        points=1,
        hint="what has no time, or does not fit, is no runner-up either",
    ),
    Check(
        "flip",
        "the pair, the reserved SMs and the memory at which the choice becomes another one",
        flip,
        needs=("choice",),
        points=1,
        hint="in the pair's length both times are straight lines; for the SMs, ask your own decide again",
    ),
    Check(
        "numbers",
        "each number in the memo is one that was given or computed, rounded, with its unit",
        numbers,
        points=1,
        hint="round when you print and not before; in a candidate's line stand its own numbers",
    ),
    Check(
        "complete",
        "the memo names choice, tier, domain, margin and flips",
        complete,
        needs=("numbers",),
        points=1,
        hint="read the table of lines in the task again: what does a reader need who was not there?",
    ),
)
