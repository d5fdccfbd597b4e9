# rejected by speedup, SMs paid: takes 15 % for 15 %, but 132/112 is 18 % more time

from __future__ import annotations

from fractions import Fraction


def effective_gpus(gpus: int, waiting: Fraction) -> Fraction:
    return gpus * (1 - waiting)


def speedup(waiting: Fraction, hidden: Fraction, reserved_sms: int, sms: int) -> Fraction:
    return 1 / ((1 - waiting) * (1 + Fraction(reserved_sms, sms)) + waiting * (1 - hidden))


def most_hidden(waiting: Fraction) -> Fraction:
    return min(1, (1 - waiting) / waiting) if waiting else 1


def break_even_sms(waiting: Fraction, hidden: Fraction, sms: int) -> Fraction:
    return sms * waiting * hidden / (1 - waiting + waiting * hidden)
