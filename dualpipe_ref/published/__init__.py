"""Published versus true: every formula, figure and benchmark that the book leans on, with its domain and a counterexample.

Standard library only. `of_formulas` reads `simulate.formulas`; `of_schedules` and `of_links` hold the rest; `not_checked` what
nobody here could check.
"""

from __future__ import annotations

from difflib import get_close_matches

from dualpipe_ref.published.claim import Claim, NotChecked, Shown
from dualpipe_ref.published.not_checked import NOT_CHECKED
from dualpipe_ref.published.of_formulas import FORMULA_CLAIMS
from dualpipe_ref.published.of_links import LINK_CLAIMS
from dualpipe_ref.published.of_schedules import SCHEDULE_CLAIMS
from dualpipe_ref.schedule.errors import InputError, shortened

__all__ = ["CLAIMS", "NOT_CHECKED", "Claim", "NotChecked", "Shown", "find_claim"]

CLAIMS: tuple[Claim, ...] = (*FORMULA_CLAIMS, *SCHEDULE_CLAIMS, *LINK_CLAIMS)


def find_claim(name: str) -> Claim:
    """An entry by its name.

    >>> print(find_claim("2x parameters").counterexample())
    kind = dualpipev, P = 8: published 2, true 1 x
    """
    for claim in CLAIMS:
        if claim.name == name:
            return claim
    nearest = get_close_matches(name, [claim.name for claim in CLAIMS], n=1, cutoff=0)
    raise InputError("the register has an entry of this name", shortened(name), repr(nearest[0]))
