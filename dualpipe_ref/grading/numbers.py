"""Numbers of an answer: equal but for rounding, and in words."""

from __future__ import annotations

import math
from fractions import Fraction
from reprlib import repr as short

CLOSE = 1e-9  # relative; who computes in floats is right too


def is_close(said: object, right: Fraction) -> bool:
    """Whether it is a number (True is none), equal but for rounding.

    >>> is_close(0.1 + 0.2, Fraction(3, 10)), is_close(True, Fraction(1)), is_close("1", Fraction(1))
    (True, False, False)
    """
    if type(said) not in (int, float, Fraction):
        return False
    return said == right or (
        type(said) is float and math.isclose(said, float(right), rel_tol=CLOSE, abs_tol=1e-12)
    )


def in_words(number: object) -> str:
    """A fraction with its decimal value; anything else, cut short, as it is.

    >>> in_words(Fraction(8, 5)), in_words("x")
    ('8/5 = 1.6', "'x'")
    """
    if type(number) is Fraction and number.denominator > 1:
        return f"{number} = {float(number):.6g}"
    return str(number) if type(number) is Fraction else short(number)
