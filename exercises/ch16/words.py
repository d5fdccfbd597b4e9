"""Reads a memo: which numbers it quotes, of whom, and whether they are those that were computed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

from .case import GIB
from .runs import Judged
from .truth import NAMES, Row, computing, network, parts

Q = Fraction
DOMAINS = {
    "1F1B": "every m",
    "ZB-V": "F = I = W, m >= 2P - 1",
    "DualPipe": "P and m even, m >= 2P - 2, FB >= max(F, B)",
    "DualPipeV": "m >= 2P - 1, FB >= max(F, B)",
    "Interleaved": "P divides m, FB >= max(F, B)",
}
UNITS = ("GPU hours", "GPUs", "GiB", "SMs", "ranks", "micro-batches", "tokens", "ms", "%")
NUMBER = re.compile(
    r"(?<![\w.,])(?P<number>\d[\d,]*(?:\.\d+)?)(?: ?(?P<unit>"
    + "|".join(map(re.escape, UNITS))
    + r"))?(?!\w)"
)


class Quoted(NamedTuple):
    """A number as it stands in a memo."""

    text: str
    unit: str | None

    @property
    def value(self) -> Fraction:
        return Q(self.text.replace(",", ""))

    @property
    def half_a_digit(self) -> Fraction:
        """How far from the truth a number may be that was rounded to these digits."""
        return Q(1, 2 * 10 ** len(self.text.partition(".")[2]))

    def rounds(self, truth: Fraction) -> bool:
        return abs(self.value - truth) <= self.half_a_digit * Q(1000001, 1000000)  # made of floats

    def __str__(self) -> str:
        return f"{self.text} {self.unit}" if self.unit else self.text


class Fact(NamedTuple):
    """A number that was given or computed; `owner` is the candidate that it belongs to, if to one."""

    value: Fraction
    unit: str
    owner: str | None = None


def quoted(line: str) -> list[Quoted]:
    """The numbers of a line. Names and domains have digits that are no numbers; P and m are named by their letters, too.

    >>> [str(one) for one in quoted("at P = 4, m = 8")]
    ['4 ranks', '8 micro-batches']
    >>> [str(one) for one in quoted("1F1B: 1,234.5 GPU hours (every m), 40 % lost, 7 apples")]
    ['1,234.5 GPU hours', '40 %', '7']
    """
    for text in (*DOMAINS.values(), *NAMES):
        line = line.replace(text, "")
    for letter, unit in (("P", "ranks"), ("m", "micro-batches")):
        line = re.sub(rf"\b{letter} = (\d+)", rf"\1 {unit}", line)
    return [Quoted(match["number"], match["unit"]) for match in NUMBER.finditer(line)]


def facts(judged: Judged) -> list[Fact]:
    """All that a memo on this run may quote."""
    return [
        *_of_run(judged),
        *_of_flips(judged),
        *(fact for row in judged.rows for fact in _of_row(judged, row)),
    ]


def _of_run(judged: Judged) -> Iterator[Fact]:
    run, told, now = judged.run, parts(judged.run), judged.decision
    in_turn = told["F"] + told["B"]
    times = [*told.values(), run.F, run.I, run.W, run.exchange_F, run.exchange_I, in_turn]
    times += [computing(run), network(run), abs(in_turn - told["pair"]), told["B"] - run.W]
    yield from (Fact(time, "ms") for time in times)
    yield from (Fact(Q(n), "SMs") for n in (run.sms, run.reserved, run.sms - run.reserved))
    yield Fact(Q(run.ranks), "ranks")
    yield from (Fact(Q(m), "micro-batches") for m in (run.microbatches, *_simulated(judged)))
    yield Fact(Q(run.gpus), "GPUs")
    yield Fact(Q(run.tokens), "tokens")
    yield Fact(run.memory, "GiB")
    yield Fact(100 * run.hidden, "%")
    if now.missing is not None:
        yield Fact(now.missing, "GiB")
    if now.margin is not None:
        yield Fact(100 * now.margin, "%")
        yield Fact(more_hours(judged), "GPU hours")


def _simulated(judged: Judged) -> Iterator[int]:
    return (microbatches for _, microbatches, _ in judged.run.simulated)


def more_hours(judged: Judged) -> Fraction:
    """By how many GPU hours the runner-up is behind."""
    hours = {row.name: row.hours or Q(0) for row in judged.rows}
    return hours[judged.decision.runner_up or ""] - hours[judged.decision.choice or ""]


def _of_flips(judged: Judged) -> Iterator[Fact]:
    run, at = judged.run, judged.flip
    now = {"pair": parts(run)["pair"], "reserved": Q(run.reserved), "memory": run.memory}
    for name, unit in (("pair", "ms"), ("reserved", "SMs"), ("memory", "GiB")):
        value = getattr(at, name)
        if value is not None:
            yield Fact(Q(value), unit)
            yield Fact(abs(value - now[name]), unit)
            if now[name]:
                yield Fact(abs(100 * (value / now[name] - 1)), "%")


def _of_row(judged: Judged, row: Row) -> Iterator[Fact]:
    if row.time is not None and row.lost is not None and row.hours is not None:
        yield Fact(row.time, "ms", row.name)
        yield Fact(100 * row.lost, "%", row.name)
        yield Fact(row.hours, "GPU hours", row.name)
    if row.bytes is not None:
        held = Q(row.bytes) / GIB
        yield Fact(held, "GiB", row.name)
        yield Fact(abs(held - judged.run.memory), "GiB", row.name)


def unknown(judged: Judged, memo: str) -> tuple[Quoted, str, str] | None:
    """The first number that was not computed, its line, and what is wrong with it."""
    known = facts(judged)
    for line in memo.splitlines():
        owner = next((name for name in NAMES if line.startswith(f"{name}:")), None)
        for number in quoted(line):
            if number.unit is None:
                return number, line, f"has no unit; known are {', '.join(UNITS)}"
            own = [fact for fact in known if owner is None or fact.owner in (None, owner)]
            if not _is_among(number, own):
                elsewhere = [f.owner for f in known if f.owner and _is_among(number, [f])]
                more = f"; it is {elsewhere[0]}'s" if elsewhere else ""
                return number, line, f"was not computed{' for ' + owner if owner else ''}{more}"
    return None


def _is_among(number: Quoted, known: Iterable[Fact]) -> bool:
    return any(fact.unit == number.unit and number.rounds(fact.value) for fact in known)


def says(line: str, value: Fraction, unit: str) -> bool:
    """Whether the line quotes this number, to two significant digits or more."""
    return any(
        one.unit == unit and one.rounds(value) and abs(one.value - value) * 20 <= value
        for one in quoted(line)
    )
