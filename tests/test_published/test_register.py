"""Every entry shows what it says: wrong where it says so, right in its domain, and spoken of where it says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualpipe_ref.published import CLAIMS, NOT_CHECKED, Claim, find_claim
from dualpipe_ref.published.of_formulas import INSTEAD, claim_of
from dualpipe_ref.published.page import open_table, table
from dualpipe_ref.schedule import InputError
from dualpipe_ref.simulate import FORMULAS, Formula
from tests.test_project.files import ROOT

from .cases import BY_ACCIDENT, cases_of, first_pairs, orders_inside

each_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
FORMULA_GROUPS = ("formulas", "our formulas")


def faults(claim: Claim) -> list[str]:
    """What an entry says and does not show."""
    found = []
    against, agreement = claim.counterexample(), claim.agreement()
    if against is not None and claim.agree(against):
        found.append(f"its counterexample is none: {against}")
    if against is not None and claim.holds(**against.case):
        found.append(f"its counterexample lies in its domain: {against}")
    if agreement is not None and not claim.agree(agreement):
        found.append(f"its example is a counterexample: {agreement}")
    if agreement is not None and not claim.holds(**agreement.case):
        found.append(f"its example lies outside of its domain: {agreement}")
    if against is None and agreement is None:
        found.append("it shows nothing")
    return found


@each_claim
def test_each_entry_shows_what_it_says(claim: Claim) -> None:
    assert faults(claim) == []


@each_claim
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_right_in_the_whole_domain(claim: Claim, data: st.DataObject) -> None:
    """And wrong outside of it, where the domain says exactly where."""
    case = data.draw(cases_of(claim))
    shown = claim.show(case)
    if claim.holds(**case):
        assert claim.agree(shown), shown
    elif claim.group not in FORMULA_GROUPS and claim.name not in BY_ACCIDENT:
        assert not claim.agree(shown), shown


@settings(deadline=None)
@given(orders_inside())
def test_the_best_order_inside_a_pair_is_never_longer(case: dict[str, int]) -> None:
    claim = find_claim("the order inside a pair")
    assert claim.true(**case) <= claim.published(**case)


@given(first_pairs())
def test_the_first_pair_costs_no_more_than_it_would_gain(case: dict[str, int]) -> None:
    claim = find_claim("the first pair is not overlapped “to further reduce bubble size”")
    assert claim.true(**case) <= max(0, case["F"] + case["I"] + case["W"] - case["FB"])


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f"{f.kind}-{f.quantity}-{f.name}")
def test_every_formula_is_in_the_register(formula: Formula) -> None:
    key = formula.kind, formula.quantity, formula.name
    assert key in INSTEAD, (
        f"say in dualpipe_ref/published/of_formulas.py what to use instead of {key}"
    )
    assert claim_of(formula).says == formula.expression


def test_nothing_is_registered_that_is_no_formula() -> None:
    assert set(INSTEAD) == {(f.kind, f.quantity, f.name) for f in FORMULAS}


def test_a_new_formula_would_be_missed() -> None:
    with pytest.raises(KeyError):
        claim_of(replace(FORMULAS[0], name="planted"))


def test_names_are_unique() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("entry", [*CLAIMS, *NOT_CHECKED], ids=lambda entry: entry.name)
def test_every_entry_is_whole_and_its_pages_exist(entry: Claim) -> None:
    assert entry.source
    assert entry.says
    assert entry.pages
    for page in entry.pages:
        assert (ROOT / "book" / f"{page}.md").is_file(), page
    if isinstance(entry, Claim):
        assert entry.domain
        assert entry.tier
        assert entry.corrected or entry.outside() is None


def test_the_status_follows_from_the_cases() -> None:
    claim = find_claim("75 % waiting, 4x faster")
    assert claim.status == "holds within its domain"
    assert replace(claim, inside=None).status == "wrong"
    assert replace(claim, outside=lambda: None).status == "holds"


def test_planted_faults_are_found() -> None:
    claim = find_claim("2x parameters")
    assert faults(replace(claim, published=claim.true)) != []
    assert faults(replace(claim, holds=lambda kind, P: True)) != []  # noqa: N803
    assert faults(replace(claim, inside=claim.outside())) != []
    assert faults(replace(claim, true=lambda kind, P: 3)) != []  # noqa: N803
    assert faults(replace(claim, inside=None, outside=lambda: None)) == ["it shows nothing"]


def test_a_domain_that_is_too_wide_is_seen() -> None:
    claim = find_claim("3.2 experts a node at no further cost")
    wide = replace(claim, holds=lambda nodes, gpus: nodes <= gpus)
    with pytest.raises(AssertionError):
        test_right_in_the_whole_domain.hypothesis.inner_test(wide, _Drawn({"nodes": 4, "gpus": 8}))


class _Drawn:
    """Draws this."""

    def __init__(self, case: dict[str, object]) -> None:
        self.case = case

    def draw(self, strategy: object) -> dict[str, object]:
        return self.case


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InputError, match="2x parameters"):
        find_claim("2x parameter")


def test_the_page_shows_every_entry() -> None:
    text = (ROOT / "book" / "published.md").read_text(encoding="utf-8")
    shown = set(re.findall(r'group\("([^"]+)"\)', text))
    assert shown == {claim.group for claim in CLAIMS}


def test_the_tables_hold_every_row() -> None:
    some = CLAIMS
    assert table(some, "x").count("<tr>") == len(some) + 1
    assert open_table(NOT_CHECKED, "x").count("<tr>") == len(NOT_CHECKED) + 1
    assert "&lt;" in table([find_claim("75 % communication, overlapped: 4x faster")], "x")
