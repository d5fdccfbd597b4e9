"""What waiting costs, what hiding it gives back, and where that ends."""

from __future__ import annotations

from fractions import Fraction


def effective_gpus(gpus: int, waiting: Fraction) -> Fraction:
    """How many GPUs that never wait do the work of `gpus` that wait for this share of each step."""
    # skeleton: begin
    return gpus * (1 - waiting)
    # skeleton: end


def speedup(waiting: Fraction, hidden: Fraction, reserved_sms: int, sms: int) -> Fraction:
    """How much faster a step is when `hidden` of its waiting is gone and SMs were given away for that."""
    # skeleton: begin
    # The step before is the unit of time. Computation has fewer SMs, and so takes longer.
    computing = (1 - waiting) * Fraction(sms, sms - reserved_sms)
    left = waiting * (1 - hidden)
    return 1 / (computing + left)
    # skeleton: end


def most_hidden(waiting: Fraction) -> Fraction:
    """The largest share of the waiting that can run beside the computation, if all of it is communication."""
    # skeleton: begin
    if waiting == 0:
        return Fraction(1)
    # What is hidden lies beside computation, of which there is no more than 1 - waiting.
    return min(Fraction(1), (1 - waiting) / waiting)
    # skeleton: end


def break_even_sms(waiting: Fraction, hidden: Fraction, sms: int) -> Fraction:
    """The number of SMs whose loss costs just what hiding gains; it need not be whole."""
    # skeleton: begin
    # (1 - w) s / (s - n) + w (1 - h) = 1, solved for n.
    gained = waiting * hidden
    return sms * gained / (1 - waiting + gained)
    # skeleton: end
