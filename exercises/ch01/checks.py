"""What an answer to chapter 1 must do: give the numbers of the ledger, for many shares, simplest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import product
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check
from dualpipe_ref.grading.numbers import in_words, is_close
from dualpipe_ref.simulate.waiting import HOPPER_SMS, ledger

HALF = Fraction(1, 2)
# Simple shares first, so that the first that fails is one to compute by hand.
WAITING = (
    HALF,
    Fraction(0),
    Fraction(3, 4),
    Fraction(1, 4),
    *(Fraction(part, 20) for part in range(1, 20)),
    Fraction(163, 355),
)
HIDDEN = (Fraction(1), Fraction(0), HALF, Fraction(1, 3), Fraction(9, 10), Fraction(136, 163))
RESERVED = (
    (20, HOPPER_SMS),
    (6, HOPPER_SMS),
    (66, HOPPER_SMS),
    (1, 2),
    (24, 108),
    (131, HOPPER_SMS),
)
GPUS = (2048, 1, 7)

Arguments = tuple[Any, ...]


def agrees(
    name: str, words: tuple[str, ...], cases: Iterable[Arguments], wanted: Callable[..., Fraction]
) -> Callable[[Answer], str | None]:
    """A check: the function gives the ledger's number in every case, exactly or as a float."""
    cases = tuple(cases)

    def find_fault(answer: Answer) -> str | None:
        for case in cases:
            said, right = call(answer, name, *case), wanted(*case)
            if not is_close(said, right):
                asked = ", ".join(
                    f"{word} = {value}" for word, value in zip(words, case, strict=True)
                )
                return f"{asked}: you say {in_words(said)}, it is {in_words(right)}"
        return None

    return find_fault


def speedups(reserved: Iterable[tuple[int, int]], hidden: Iterable[Fraction]) -> list[Arguments]:
    return [(w, h, *sms) for sms, h, w in product(reserved, hidden, WAITING)]


def speedup_of(waiting: Fraction, hidden: Fraction, reserved: int, sms: int) -> Fraction:
    return ledger(1, waiting, hidden, reserved, sms).speedup


SPEEDUP = ("waiting", "hidden", "reserved_sms", "sms")

CHECKS = (
    Check(
        "effective",
        "GPUs that never wait, worth those that do",
        agrees(
            "effective_gpus",
            ("gpus", "waiting"),
            product(GPUS, WAITING),
            lambda gpus, waiting: ledger(gpus, waiting, 0).effective_gpus_before,
        ),
        points=1,
        hint="a GPU that waits for a quarter of each step is three quarters of a GPU",
    ),
    Check(
        "speedup, all hidden",
        "75 % waiting, all of it gone and nothing paid: 4x",
        agrees("speedup", SPEEDUP, speedups([(0, HOPPER_SMS)], HIDDEN[:1]), speedup_of),
        points=1,
        hint="take the step before as the unit of time: how long is the step after?",
    ),
    Check(
        "speedup, part hidden",
        "75 % waiting, half of it gone: 1.6x",
        agrees("speedup", SPEEDUP, speedups([(0, HOPPER_SMS)], HIDDEN), speedup_of),
        needs=("speedup, all hidden",),
        points=2,
        hint="what is left of the waiting is still part of the step",
    ),
    Check(
        "speedup, SMs paid",
        "SMs that are given away make computation longer, and nothing else",
        agrees("speedup", SPEEDUP, speedups(RESERVED, HIDDEN), speedup_of),
        needs=("speedup, part hidden",),
        points=2,
        hint="132 SMs did the work in 1 - waiting; how long do 112 take?",
    ),
    Check(
        "overlap bound",
        "communication hides beside computation, as far as there is any",
        agrees(
            "most_hidden",
            ("waiting",),
            ((waiting,) for waiting in WAITING),
            lambda waiting: ledger(1, waiting, 0).hideable,
        ),
        points=2,
        hint="at 75 % waiting there is 25 % of computation to lay it beside",
    ),
    Check(
        "break even",
        "from how many SMs on hiding is a loss",
        agrees(
            "break_even_sms",
            ("waiting", "hidden", "sms"),
            ((w, h, sms) for sms, h, w in product((HOPPER_SMS, 108, 2), HIDDEN, WAITING)),
            lambda waiting, hidden, sms: ledger(1, waiting, hidden, sms=sms).break_even,
        ),
        points=2,
        hint="set the length of the step after to 1 and solve for the reserved SMs",
    ),
)
