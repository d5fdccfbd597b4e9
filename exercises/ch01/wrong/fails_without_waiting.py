# rejected by overlap bound: divides by zero where nothing waits

from __future__ import annotations

from fractions import Fraction


def effective_gpus(gpus: int, waiting: Fraction) -> Fraction:
    return gpus * (1 - waiting)


def speedup(waiting: Fraction, hidden: Fraction, reserved_sms: int, sms: int) -> Fraction:
    return 1 / ((1 - waiting) * Fraction(sms, sms - reserved_sms) + waiting * (1 - hidden))


def most_hidden(waiting: Fraction) -> Fraction:
    return min(1, (1 - waiting) / waiting)


def break_even_sms(waiting: Fraction, hidden: Fraction, sms: int) -> Fraction:
    return sms * waiting * hidden / (1 - waiting + waiting * hidden)
