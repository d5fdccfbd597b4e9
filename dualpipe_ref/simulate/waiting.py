"""What waiting costs a set of devices, and what hiding it gives back when SMs must be paid for it.

One step is the unit of time. A device waits for the share w of it and computes for 1 - w. Hiding the
share h of the waiting, and reserving n of s SMs for communication, makes the step

    T = (1 - w) s/(s - n) + w (1 - h)

long. That computation slows down by s/(s - n) is a model (it holds for work that scales with SMs, and
overstates the price of work bound by memory). A schedule that fills the waiting with other
computation may hide all of it. Communication that is to run beside computation has less room:
see `Ledger.hideable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.simulate.costs import Number

HOPPER_SMS = (
    132  # of an H100 or H800 SXM; DeepSeek-V3 gives 20 of them to communication (section 3.2.2)
)


@dataclass(frozen=True)
class Ledger:
    """The books of `gpus` devices; made by `ledger`. All shares and times are exact."""

    gpus: int
    waiting: Fraction
    hidden: Fraction
    reserved_sms: int
    sms: int

    @property
    def slowdown(self) -> Fraction:
        """How much longer computation takes on the SMs that are left to it."""
        return Fraction(self.sms, self.sms - self.reserved_sms)

    @property
    def step_after(self) -> Fraction:
        """Length of a step after, in steps before."""
        return (1 - self.waiting) * self.slowdown + self.waiting * (1 - self.hidden)

    @property
    def useful_before(self) -> Fraction:
        """Share of a step in which all SMs would be busy computing."""
        return 1 - self.waiting

    @property
    def useful_after(self) -> Fraction:
        """The same work as a share of the shorter step: SMs that are given away do not count as useful."""
        return (1 - self.waiting) / self.step_after

    @property
    def speedup(self) -> Fraction:
        """Steps after in the time of one step before; below 1 where the SMs cost more than they hide."""
        return 1 / self.step_after

    @property
    def speedup_without_tax(self) -> Fraction:
        """The speedup if hiding were free."""
        return 1 / (1 - self.waiting * self.hidden)

    @property
    def effective_gpus_before(self) -> Fraction:
        """How many devices that never wait would do the same work."""
        return self.gpus * self.useful_before

    @property
    def effective_gpus_after(self) -> Fraction:
        """The same, after."""
        return self.gpus * self.useful_after

    @property
    def hideable(self) -> Fraction:
        """The most of the waiting that can be hidden if all of it is communication that keeps its length.

        It must fit beside the computation, which lasts (1 - w) s/(s - n).

        >>> ledger(1, Fraction(3, 4), 1).hideable, ledger(1, Fraction(1, 2), 1).hideable
        (Fraction(1, 3), Fraction(1, 1))
        """
        if self.waiting == 0:
            return Fraction(1)
        return min(Fraction(1), (1 - self.waiting) * self.slowdown / self.waiting)

    @property
    def break_even(self) -> Fraction:
        """How many reserved SMs eat up all that is hidden: w h s / (1 - w + w h).

        >>> ledger(1, Fraction(1, 2), Fraction(1, 2), sms=132).break_even
        Fraction(44, 1)
        """
        gain = self.waiting * self.hidden
        return self.sms * gain / (1 - self.waiting + gain)

    @property
    def parts_before(self) -> tuple[tuple[str, Fraction], ...]:
        """What a step is made of, in steps before: label and length."""
        return (("computing", 1 - self.waiting), ("waiting", self.waiting))

    @property
    def parts_after(self) -> tuple[tuple[str, Fraction], ...]:
        """What a step after is made of, in steps before; they add up to `step_after`."""
        computing = 1 - self.waiting
        return (
            ("computing", computing),
            ("SM tax", computing * (self.slowdown - 1)),
            ("waiting left", self.waiting * (1 - self.hidden)),
        )


def ledger(
    gpus: int, waiting: Number, hidden: Number, reserved_sms: int = 0, sms: int = HOPPER_SMS
) -> Ledger:
    """The ledger of `gpus` devices which wait for the share `waiting` of a step, 0 <= waiting < 1.

    `hidden` is the share of that waiting which disappears, 0 to 1; `reserved_sms` of the `sms` SMs of each
    device are taken from computation for it. Raises `InputError` for anything else.

    >>> book = ledger(2048, Fraction(3, 4), 1)
    >>> int(book.effective_gpus_before), int(book.effective_gpus_after), book.speedup
    (512, 2048, Fraction(4, 1))
    >>> ledger(2048, Fraction(3, 4), Fraction(1, 2)).speedup
    Fraction(8, 5)
    >>> taxed = ledger(2048, Fraction(1, 2), 1, reserved_sms=20)
    >>> taxed.speedup, float(taxed.effective_gpus_after)
    (Fraction(56, 33), 1737.6969696969697)
    >>> ledger(8, 1, 1)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: waiting must be at least 0 and below 1; got waiting = 1; \
nearest legal: waiting = 0.99
    """
    require_int("gpus", gpus, 1)
    require_int("sms", sms, 1)
    if require_int("reserved_sms", reserved_sms, 0) >= sms:
        raise InputError(
            "computation must keep an SM",
            f"reserved_sms = {reserved_sms} of sms = {sms}",
            f"reserved_sms = {sms - 1}",
        )
    if not 0 <= waiting < 1:
        raise InputError(
            "waiting must be at least 0 and below 1",
            f"waiting = {waiting}",
            f"waiting = {0 if waiting < 0 else 0.99}",
        )
    if not 0 <= hidden <= 1:
        raise InputError(
            "hidden must be from 0 to 1",
            f"hidden = {hidden}",
            f"hidden = {0 if hidden < 0 else 1}",
        )
    return Ledger(gpus, Fraction(waiting), Fraction(hidden), reserved_sms, sms)
