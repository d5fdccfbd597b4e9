"""The smallest failing case of every formula lies outside its domain, and is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dualpipe_ref.simulate import FORMULAS, Formula, find_formula
from dualpipe_ref.simulate.counterexamples import TRUTH, smallest_failure

from .test_formulas import measure

each_formula = pytest.mark.parametrize(
    "formula", FORMULAS, ids=lambda f: f"{f.kind}-{f.quantity}-{f.name}"
)


@each_formula
def test_what_fails_lies_outside_the_domain(formula: Formula) -> None:
    for steady in (False, True):
        found = smallest_failure(formula, steady=steady)
        if found is None:
            continue
        case = found.ranks, found.microbatches, found.costs
        assert not formula.holds(*case, found.rank)
        assert measure(formula.kind, *case)[formula.quantity][found.rank] == found.true
        assert formula.evaluate(*case, found.rank) == found.claimed != found.true
        assert not steady or found.microbatches >= 2 * found.ranks


@each_formula
def test_always_means_always(formula: Formula) -> None:
    assert formula.domain != "always" or smallest_failure(formula) is None


def test_every_quantity_has_a_truth() -> None:
    assert {formula.quantity for formula in FORMULAS} == set(TRUTH)


def test_a_wrong_formula_is_found_out() -> None:
    """The planted fault: one W too many, which shows at the first size with more than two stages."""
    right = find_formula("zb-h1", "bubble", "exact")
    wrong = replace(right, _value=lambda c: right._value(c) - (c.P - 2) * c.W)
    found = smallest_failure(wrong)
    assert found is not None
    assert (found.ranks, found.microbatches, found.true - found.claimed) == (3, 1, 1)
