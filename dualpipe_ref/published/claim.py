"""What somebody published, the domain in which it is true, and a case outside of it where both values can be computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.simulate.costs import Number

Value = Number | str
Case = Mapping[str, Value]


class Shown(NamedTuple):
    """One case with what was published for it and what is true."""

    case: Case
    published: Value
    true: Value
    unit: str = ""

    @property
    def where(self) -> str:
        """The case in words; equal costs share one number.

        >>> Shown({"P": 8, "F": 1, "I": 1, "W": 1, "FB": Fraction(11, 5)}, 1, 2).where
        'P = 8, F = I = W = 1, FB = 2.2'
        """
        told: list[tuple[str, str]] = []
        for name, value in self.case.items():
            words = plain(value)
            if name in ("I", "W") and told[-1][1] == words:
                told[-1] = f"{told[-1][0]} = {name}", words
            else:
                told.append((name, words))
        return ", ".join(" = ".join(pair) for pair in told)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        told = f"published {plain(self.published)}, true {plain(self.true)}{unit}"
        return f"{self.where}: {told}" if self.case else told


def plain(value: Value) -> str:
    """Four digits of a number that is not whole; all of one that is.

    >>> plain(Fraction(83, 30)), plain(1024), plain(Fraction(6, 2)), plain("H800"), plain(671026419200)
    ('2.767', '1,024', '3', 'H800', '671,026,419,200')
    """
    if isinstance(value, str):
        return value
    if value == int(value):
        return f"{int(value):,}"
    return f"{float(value):.4g}"


@dataclass(frozen=True)
class Claim:
    """One entry of the register. `published`, `true` and `holds` take the names of a case as arguments.

    `outside` finds a case in which the claim is not true, None where there is none; `inside` is one in which it is. `says`,
    `domain` and `corrected` say the same in words. With `within` two numbers that differ by no more than that share of what was published are one.
    """

    name: str
    group: str
    source: str
    says: str
    domain: str
    corrected: str
    tier: str
    pages: tuple[str, ...]
    published: Callable[..., Value] = field(repr=False)
    true: Callable[..., Value] = field(repr=False)
    holds: Callable[..., bool] = field(repr=False)
    outside: Callable[[], Case | None] = field(default=lambda: None, repr=False)
    inside: Case | None = None
    unit: str = ""
    within: float = 0

    @property
    def status(self) -> str:
        """It follows from the cases; nobody sets it."""
        if self.outside() is None:
            return "holds"
        return "wrong" if self.inside is None else "holds within its domain"

    def show(self, case: Case) -> Shown:
        """Both values of a case; see `agree`."""
        return Shown(case, self.published(**case), self.true(**case), self.unit)

    def agree(self, shown: Shown) -> bool:
        """Whether what was published is true in this case."""
        one, other = shown.published, shown.true
        if isinstance(one, str) or isinstance(other, str):
            return one == other
        apart = abs(Fraction(one) - Fraction(other))
        return apart <= self.within * abs(Fraction(one))

    def counterexample(self) -> Shown | None:
        """A case outside of the domain; None where the claim holds."""
        case = self.outside()
        return None if case is None else self.show(case)

    def agreement(self) -> Shown | None:
        """A case inside of the domain; None where there is no such case."""
        return None if self.inside is None else self.show(self.inside)


class NotChecked(NamedTuple):
    """What others report and nobody here could check: what it says, and what is missing."""

    name: str
    source: str
    says: str
    why: str
    pages: tuple[str, ...]
    status: str = "not checked"


def at(**case: Value) -> Callable[[], Case]:
    """A counterexample that is known.

    >>> at(P=8)()
    {'P': 8}
    """
    return lambda: case
