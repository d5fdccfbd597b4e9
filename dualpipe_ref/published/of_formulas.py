"""Every formula of `simulate.formulas` as an entry of the register: its own domain, and the smallest case that breaks it."""

# The letters of the formulas.
# ruff: noqa: N803, N806, E741

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

from dualpipe_ref.published.claim import Case, Claim, Value
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import FORMULAS, Costs, Formula, simulate
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.counterexamples import TRUTH, smallest_failure

# What to use instead: the name of another formula of the same kind and quantity, or words. A formula that is missing here
# is not in the register, and a test says so.
INSTEAD: dict[tuple[str, str, str], str] = {
    ("gpipe", "bubble", "published"): "",
    ("gpipe", "activations", "published"): "",
    ("gpipe", "parameters", "published"): "",
    ("1f1b", "bubble", "published"): "",
    ("1f1b", "activations", "published"): "exact",
    ("1f1b", "activations", "exact"): "",
    ("1f1b", "makespan", "exact"): "",
    ("1f1b", "parameters", "published"): "",
    ("interleaved", "bubble", "published"): "at least P micro-batches, or simulate",
    ("interleaved", "makespan", "exact"): "simulate",
    ("interleaved", "activations", "exact"): "",
    ("interleaved", "parameters", "published"): "",
    ("zb-h1", "bubble", "published"): "exact",
    ("zb-h1", "bubble", "zero bubble paper"): "exact",
    ("zb-h1", "bubble", "exact"): "",
    ("zb-h1", "held", "published"): "exact",
    ("zb-h1", "held", "exact"): "",
    ("zb-h1", "parameters", "published"): "",
    ("zb-v", "bubble", "exact"): "simulate",
    ("zb-v", "held", "published"): "fewer than 2P - 1 micro-batches hold less",
    ("chimera", "bubble", "published"): "exact",
    ("chimera", "bubble", "exact"): "",
    ("chimera", "activations", "exact"): "",
    ("chimera", "parameters", "published"): "",
}
for _kind in ("dualpipe", "dualpipev"):
    INSTEAD |= {
        (_kind, "bubble", "published"): "exact",
        (_kind, "worst bubble", "published"): "exact",
        (_kind, "bubble", "exact"): "simulate",
        (_kind, "worst bubble", "exact"): "simulate",
        (_kind, "worst bubble", "short"): "exact",
        (_kind, "makespan", "exact"): "simulate",
        (_kind, "activations", "published"): "exact",
        (_kind, "activations", "exact"): "",
        (_kind, "parameters", "published"): "per stage; see “2x parameters” below",
    }

_CHAPTER = {
    "gpipe": "ch03_gpipe_1f1b",
    "1f1b": "ch03_gpipe_1f1b",
    "interleaved": "ch04_interleaving",
    "zb-h1": "ch05_zero_bubble",
    "zb-v": "ch05_zero_bubble",
    "chimera": "ch06_both_ends",
    "dualpipe": "ch09_dualpipe",
    "dualpipev": "ch10_dualpipev",
}
TITLES = {
    "gpipe": "GPipe",
    "1f1b": "1F1B",
    "interleaved": "interleaved 1F1B",
    "zb-h1": "ZB-H1 (ZB1P)",
    "zb-v": "ZB-V",
    "chimera": "Chimera",
    "dualpipe": "DualPipe",
    "dualpipev": "DualPipeV",
}
_INSIDE = ((1, 1, 1), (2, 1, 1))  # F, I, W: every domain has one of them, at P = 4 and m = 12
# A full backward that takes less than its halves: the smallest cases that the search does not try.
_SHORT_BACKWARD: tuple[Case, ...] = tuple(
    {"P": 4, "m": 12, "F": 1, "I": 1, "W": W, "B": 1, "FB": 2, "rank": 0} for W in (1, 2)
)
OURS = "this project"


def name_of(formula: Formula) -> str:
    """The entry's name.

    >>> name_of(FORMULAS[0])
    'GPipe: bubble'
    """
    name = f"{TITLES[formula.kind]}: {formula.quantity}"
    return name if formula.name == "published" else f"{name}, {formula.name}"


def claim_of(formula: Formula) -> Claim:
    """The entry. Raises KeyError for a formula that is not in `INSTEAD`.

    >>> from dualpipe_ref.simulate import find_formula
    >>> claim = claim_of(find_formula("zb-h1", "bubble"))
    >>> print(claim.status, claim.counterexample(), sep="; ")
    holds within its domain; P = 2, m = 4, F = I = 1, W = 2, rank = 0: published 0, true 1
    """
    instead = INSTEAD[formula.kind, formula.quantity, formula.name]
    pages = [_CHAPTER[formula.kind], "proof_bubbles"]
    if formula.quantity in ("activations", "held", "parameters"):
        pages = [_CHAPTER[formula.kind], "ch11_memory"]
    return Claim(
        name=name_of(formula),
        group="our formulas" if formula.source.startswith(OURS) else "formulas",
        source=formula.source,
        says=formula.expression,
        domain=formula.domain,
        corrected=_expression(formula, instead),
        tier="browser, exact simulation",
        pages=tuple(pages),
        published=partial(_evaluate, formula),
        true=partial(_simulated, formula),
        holds=partial(_holds, formula),
        outside=partial(_outside, formula),
        inside=_inside(formula),
        unit="chunks" if formula.quantity in ("activations", "held") else "",
    )


def _expression(formula: Formula, instead: str) -> str:
    for other in FORMULAS:
        if (other.kind, other.quantity, other.name) == (formula.kind, formula.quantity, instead):
            return f"{other.expression} ({other.domain})"
    return instead


class _Asked(NamedTuple):
    """A case as the arguments of `Formula`."""

    ranks: int
    microbatches: int
    costs: Costs
    rank: int


def _asked(
    P: int,
    m: int,
    F: Number,
    I: Number,
    W: Number,
    rank: int = 0,
    B: Number | None = None,
    FB: Number | None = None,
) -> _Asked:
    return _Asked(P, m, Costs(F, I, W, B, FB), rank)


def _evaluate(formula: Formula, **case: Any) -> Value:
    return formula.evaluate(*_asked(**case))


def _holds(formula: Formula, **case: Any) -> bool:
    return formula.holds(*_asked(**case))


def _simulated(formula: Formula, **case: Any) -> Value:
    asked = _asked(**case)
    schedule = build(formula.kind, asked.ranks, asked.microbatches)
    return TRUTH[formula.quantity](simulate(schedule, asked.costs))[asked.rank]


@cache
def _outside(formula: Formula) -> Case | None:
    """The smallest case of at least 2P micro-batches that breaks it, else the smallest of all, else one whose B is no I and W."""
    if formula.domain == "always":
        return None
    found = smallest_failure(formula, steady=True) or smallest_failure(formula)
    if found is None:
        return next(filter(partial(_breaks, formula), _SHORT_BACKWARD), None)
    case: dict[str, Value] = {"P": found.ranks, "m": found.microbatches}
    for name in ("F", "I", "W", "FB"):
        cost = getattr(found.costs, name)
        if cost is not None:
            case[name] = cost
    return case | {"rank": found.rank}


def _breaks(formula: Formula, case: Case) -> bool:
    return _evaluate(formula, **case) != _simulated(formula, **case)


def _inside(formula: Formula) -> Case | None:
    for F, I, W in _INSIDE:
        for m in (4, 12):
            case: Case = {"P": 4, "m": m, "F": F, "I": I, "W": W}
            if (m == 12 or "dualpipe" not in formula.kind) and _holds(formula, **case):
                return case
    return None


FORMULA_CLAIMS = tuple(map(claim_of, FORMULAS))
