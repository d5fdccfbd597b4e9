# rejected by speedup, part hidden: takes a share of the full gain, so half of 4x gives 2.5x

from __future__ import annotations

from fractions import Fraction


def effective_gpus(gpus: int, waiting: Fraction) -> Fraction:
    return gpus * (1 - waiting)


def speedup(waiting: Fraction, hidden: Fraction, reserved_sms: int, sms: int) -> Fraction:
    return 1 + hidden * (1 / (1 - waiting) - 1)


def most_hidden(waiting: Fraction) -> Fraction:
    return min(1, (1 - waiting) / waiting) if waiting else 1


def break_even_sms(waiting: Fraction, hidden: Fraction, sms: int) -> Fraction:
    return sms * waiting * hidden / (1 - waiting + waiting * hidden)
