"""Times as text that loses nothing, and as a table in which each is written once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

from dualpipe_ref.schedule.errors import InputError, require_int, shortened
from dualpipe_ref.simulate.costs import Number

LONGEST_NUMBER = 40  # characters of a number that somebody writes
LONGEST = 40  # characters; a fraction with more of them tells a reader less than its decimal
# What JSON and then JavaScript write back unchanged.
_PLAIN = re.compile(r"\d{1,15}(\.\d{1,9})?")


def exact_number(name: str, value: object) -> Number:
    """A number from a form: an int, a float or text, exact as it is written, and an int where it is whole.

    >>> exact_number("FB", "11/5"), exact_number("FB", 2.2), exact_number("FB", "3.0")
    (Fraction(11, 5), Fraction(11, 5), 3)
    """
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Fraction):
            raise ValueError
        text = str(value).strip()
        exponent = text.lower().partition("e")[2]
        if len(text) > LONGEST_NUMBER or abs(int(exponent or "0")) > 30:
            raise ValueError
        exact = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{name} is a number such as 1, 2.2 or 11/5",
            f"{name} = {shortened(value)}",
            f"{name} = 1",
        ) from None
    return exact.numerator if exact.denominator == 1 else exact


def whole_number(name: str, value: object, minimum: int, most: int | None = None) -> int:
    """An int from a form, at least `minimum` and at most `most`; its text will do.

    >>> whole_number("P", "8", 1)
    8
    """
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= LONGEST_NUMBER:
        value = int(value)
    found = require_int(name, value, minimum)
    if most is not None and found > most:
        raise InputError(
            f"a live view has {name} of at most {most}", f"{name} = {found}", f"{name} = {most}"
        )
    return found


def time_text(time: Number) -> str:
    """`time` in full: a fraction also as a decimal, and a float in nine significant digits.

    >>> time_text(Fraction(274, 5)), time_text(Fraction(1, 3)), time_text(66), time_text(0.1 + 0.2)
    ('274/5 = 54.8', '1/3 ≈ 0.333333', '66', '0.3')
    """
    if isinstance(time, float):
        return f"{time:.9g}"
    exact = Fraction(time)
    if exact.denominator == 1:
        return str(exact.numerator)
    decimal = f"{float(exact):.6g}"
    sign = "=" if Fraction(decimal) == exact else "≈"
    fraction = str(exact)
    return f"{fraction} {sign} {decimal}" if len(fraction) <= LONGEST else f"{sign} {decimal}"


class TimeTable:
    """Different times in ascending order: `values` for drawing, `exact` the text where it differs.

    >>> table = TimeTable([3, Fraction(11, 5), 0, 3])
    >>> table.values, table.exact, table.place(3)
    ([0, 2.2, 3], {'1': '11/5 = 2.2'}, 2)
    """

    def __init__(self, times: Iterable[Number]) -> None:
        ordered = sorted(set(times))
        self._places = {time: place for place, time in enumerate(ordered)}
        self.values = [_drawn(time) for time in ordered]
        texts = [time_text(time) for time in ordered]
        self.exact = {
            str(place): text for place, text in enumerate(texts) if not _PLAIN.fullmatch(text)
        }

    def place(self, time: Number) -> int:
        """Where in the table `time` stands."""
        return self._places[time]


def _drawn(time: Number) -> int | float:
    """A number of nine digits: more than any screen shows."""
    try:
        number = float(time)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError("the viewer shows times below 1e308", "a longer one", "a larger unit")
    return int(number) if number == int(number) else float(f"{number:.9g}")
