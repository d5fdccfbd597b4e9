"""What is right to choose for a run, and which numbers would change that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from .case import GIB, Run
from .truth import PAIRED, Row, hours_of, line_of, parts, rows_of

Q = Fraction


class Decision(NamedTuple):
    choice: str | None
    runner_up: str | None = None
    margin: Fraction | None = None
    nearest: str | None = None
    missing: Fraction | None = None


class Flip(NamedTuple):
    pair: Fraction | None
    reserved: int | None
    memory: Fraction | None


def decision(run: Run, rows: Iterable[Row] | None = None) -> Decision:
    timed = [row for row in rows or rows_of(run) if row.time is not None]
    ranked = sorted((row for row in timed if row.fits), key=lambda row: (row.hours, row.bytes))
    if not ranked:
        least = min(timed, key=lambda row: row.bytes or 0)
        return Decision(None, nearest=least.name, missing=Q(least.bytes or 0) / GIB - run.memory)
    if len(ranked) == 1:
        return Decision(ranked[0].name)
    first, second = ranked[:2]
    assert first.time is not None
    assert second.time is not None
    return Decision(first.name, second.name, second.time / first.time - 1)


def choice_at(run: Run, reserved: int) -> str | None:
    """The choice with so many SMs, without simulating anew: times are straight lines in the pair."""
    told = parts(replace(run, reserved=reserved))
    pair, possible = told["pair"], told["pair"] >= max(told["F"], told["B"])

    def moved(row: Row) -> Row:
        if row.name not in PAIRED or row.why == "order":
            return row
        if not possible:
            return replace(row, time=None, hours=None, why="pair")
        time = line_of(run, row.name).at(pair)
        return replace(row, time=time, hours=hours_of(run, time), why=None)

    return decision(run, map(moved, rows_of(run))).choice


def flips(run: Run) -> Flip:
    now = decision(run)
    return Flip(break_even(run, now), _reserved(run, now), _memory(run, now))


def break_even(run: Run, now: Decision) -> Fraction | None:
    """Where the lines of choice and runner-up cross, if a pair can be that long."""
    if now.choice is None or now.runner_up is None:
        return None
    one, other = line_of(run, now.choice), line_of(run, now.runner_up)
    if one.slope == other.slope:
        return None
    pair = (other.fixed - one.fixed) / (one.slope - other.slope)
    told = parts(run)
    return pair if pair >= max(told["F"], told["B"]) else None


def _reserved(run: Run, now: Decision) -> int | None:
    """The nearest even count; of two equally near the smaller one. Pairs that cannot be do not count."""
    counts = sorted(range(0, run.sms, 2), key=lambda count: (abs(count - run.reserved), count))
    for count in counts:
        told = parts(replace(run, reserved=count))
        if told["pair"] >= max(told["F"], told["B"]) and choice_at(run, count) != now.choice:
            return count
    return None


def _memory(run: Run, now: Decision) -> Fraction | None:
    """The least memory above what there is with which another order is the choice."""
    timed = [row for row in rows_of(run) if row.time is not None and not row.fits]
    for needed in sorted(Q(row.bytes or 0) / GIB for row in timed):
        if decision(replace(run, memory=needed)).choice != now.choice:
            return needed
    return None
