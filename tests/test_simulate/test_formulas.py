"""Every formula equals the simulation throughout its domain; where a claim is an "exactly where", both ways."""

# The letters of the formulas, and their order in an inequality.
# ruff: noqa: N803, N806, SIM300

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.simulate import FORMULAS, Costs, Formula, find_formula, peaks, simulate
from dualpipe_ref.simulate.costs import Number

from .strategies import cached_build, positive

SIZES = {
    "gpipe": [(2, 1), (4, 3), (4, 9)],
    "1f1b": [(2, 1), (4, 3), (5, 12)],
    "interleaved": [(2, 1), (4, 2), (4, 5), (4, 8), (3, 6)],
    "zb-h1": [(2, 1), (2, 2), (4, 3), (4, 4), (5, 12)],
    "zb-v": [(2, 2), (2, 3), (4, 7), (3, 12)],
    "chimera": [(2, 2), (2, 6), (4, 4), (4, 12), (6, 6), (6, 12)],
    "dualpipe": [(2, 2), (2, 4), (4, 6), (4, 8), (6, 10), (6, 14), (8, 14), (8, 20)],
    "dualpipev": [(2, 3), (2, 4), (3, 5), (3, 9), (4, 7)],
}
Measured = dict[str, list[Number]]


def measure(kind: str, ranks: int, microbatches: int, costs: Costs) -> Measured:
    schedule = cached_build(kind, ranks, microbatches)
    timeline, highest = simulate(schedule, costs), peaks(schedule)
    return {
        "bubble": list(timeline.idle),
        "worst bubble": [max(timeline.idle)] * ranks,
        "makespan": [timeline.makespan] * ranks,
        "activations": list(highest.activations),
        "held": list(highest.held),
        "parameters": [schedule.placement.slots] * ranks,
    }


def grid(formula: Formula) -> Iterator[Costs]:
    """Small costs that hit every equality and both sides of every inequality of the domains."""
    for F, I, W in product((1, 2, 3, 4), (1, 2, 3), (1, 2, 3)):  # noqa: E741
        shorter = Fraction(max(F, I + W) + F + I + W, 2)
        paired = (max(F, I + W), shorter, F + I + W + 1) if "dualpipe" in formula.kind else ()
        for FB in (None, *paired):
            yield Costs(F, I, W, FB=FB)


def gains(costs: Costs) -> bool:
    """Whether a pair takes no longer than its two halves apart."""
    return costs.of("FB") <= costs.of("F") + costs.of("B")


def agreement(formula: Formula, all_costs: Iterable[Costs]) -> Iterator[tuple[bool, bool]]:
    """For each case of the grid: does the domain say that all ranks agree, and do they."""
    costs_to_try = list(all_costs)
    for ranks, microbatches in SIZES[formula.kind]:
        for costs in costs_to_try:
            case = ranks, microbatches, costs
            found = measure(formula.kind, *case)[formula.quantity]
            says = [formula.holds(*case, rank) for rank in range(ranks)]
            equal = [formula.evaluate(*case, rank) == found[rank] for rank in range(ranks)]
            assert all(equal[rank] for rank in range(ranks) if says[rank]), (formula, case)
            yield all(says), all(equal)


def check_domain(formula: Formula) -> list[tuple[bool, bool]]:
    cases = list(agreement(formula, grid(formula)))
    assert any(says for says, _ in cases), "the domain was never met"
    return cases


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f"{f.kind}-{f.quantity}-{f.name}")
def test_equal_in_the_whole_domain(formula: Formula) -> None:
    check_domain(formula)


EXACTLY_WHERE = [
    ("zb-h1", "bubble", "published"),
    ("zb-h1", "bubble", "zero bubble paper"),
    ("dualpipe", "bubble", "published"),
    ("dualpipe", "worst bubble", "published"),
    ("dualpipe", "worst bubble", "short"),
    ("dualpipev", "worst bubble", "short"),
    ("dualpipev", "bubble", "published"),
    ("dualpipev", "worst bubble", "published"),
    ("1f1b", "activations", "published"),
    ("dualpipe", "activations", "published"),
    ("dualpipev", "activations", "published"),
    ("interleaved", "bubble", "published"),
    ("zb-v", "held", "published"),
    ("chimera", "bubble", "published"),
]


@pytest.mark.parametrize(("kind", "quantity", "name"), EXACTLY_WHERE)
def test_unequal_everywhere_else(kind: str, quantity: str, name: str) -> None:
    """Outside its domain some rank differs: the domain is not too narrow."""
    formula = find_formula(kind, quantity, name)
    # A worst bubble that is right with FB above F + B is right by accident; no domain names those.
    cases = list(agreement(formula, filter(gains, grid(formula))))
    assert any(not equal for _, equal in cases)
    assert all(says == equal for says, equal in cases)


@given(positive, positive, positive, st.integers(2, 6), st.integers(1, 9))
def test_one_f_one_b_for_all_costs(F: Fraction, B: Fraction, W: Fraction, P: int, m: int) -> None:
    costs = Costs(F, 1, W, B)
    for kind in ("gpipe", "1f1b"):
        assert set(simulate(cached_build(kind, P, m), costs).idle) == {(P - 1) * (F + B)}


@given(positive, positive, positive, st.integers(2, 6), st.integers(1, 9))
def test_zero_bubble_for_all_costs(F: Fraction, I: Fraction, W: Fraction, P: int, m: int) -> None:  # noqa: E741
    costs = Costs(F, I, W)
    exact, published = (find_formula("zb-h1", "bubble", name) for name in ("exact", "published"))
    idle = set(simulate(cached_build("zb-h1", P, m), costs).idle)
    assert idle == {exact.evaluate(P, m, costs)}
    if m >= P:
        assert (idle == {published.evaluate(P, m, costs)}) == (W <= min(F, I))


@given(st.integers(2, 6), st.integers(0, 9))
def test_dualpipev_is_the_first_half_of_a_dualpipe(P: int, extra: int) -> None:
    m = 2 * P - 1 + extra
    costs = Costs(Fraction(7, 5), Fraction(8, 3), Fraction(5, 7), FB=Fraction(31, 7))
    half, whole = cached_build("dualpipev", P, m), cached_build("dualpipe", 2 * P, 2 * m)
    assert half.ops == whole.ops[:P]
    one, two = simulate(half, costs), simulate(whole, costs)
    assert one.makespan == two.makespan
    assert one.starts == two.starts[:P]


@given(st.integers(1, 8), st.integers(0, 20))
def test_dualpipe_holds_one_more_chunk_than_stages(half: int, extra: int) -> None:
    P = 2 * half
    highest = peaks(cached_build("dualpipe", P, 2 * P - 2 + 2 * extra))
    edge = P if extra == 0 else P + 1
    assert highest.activations == highest.held == (edge, *[P + 1] * (P - 2), edge)


@pytest.mark.parametrize(
    ("P", "m", "expected"),
    [
        (4, 8, "33/9 27/3 26/2 22.8/1.2"),
        (8, 20, "81/21 67/7 66/6 54.8/3.6"),
        (16, 48, "189/45 159/15 158/14 127.6/8.4"),
    ],
)
def test_makespans_and_worst_bubbles(P: int, m: int, expected: str) -> None:
    overlapped, gained = Costs(FB=3), Costs(FB=Fraction(11, 5))
    runs = ("1f1b", None), ("zb-h1", None), ("dualpipe", overlapped), ("dualpipe", gained)
    timelines = [simulate(build(kind, P, m), costs) for kind, costs in runs]
    found = [(timeline.makespan, max(timeline.idle)) for timeline in timelines]
    assert found == [tuple(map(Fraction, pair.split("/"))) for pair in expected.split()]


def test_bubbles_of_single_ranks() -> None:
    idle = simulate(build("dualpipe", 8, 20), Costs(FB=Fraction(11, 5))).idle
    half = [Fraction(text) for text in ("2", "2.8", "3.6", "3.6")]
    assert list(idle) == half + half[::-1]


@pytest.mark.parametrize(
    ("costs", "published", "found"),
    [
        (Costs(1, Fraction(3, 2), Fraction(1, 2), FB=Fraction(5, 2)), 9, 8),
        (Costs(Fraction(6, 5), 1, 1, FB=Fraction(13, 5)), Fraction(24, 5), Fraction(27, 5)),
        (Costs(1, 1, Fraction(3, 2), FB=3), 3, Fraction(9, 2)),
    ],
)
def test_where_the_published_bubble_is_wrong(
    costs: Costs, published: Number, found: Number
) -> None:
    formula = find_formula("dualpipe", "worst bubble", "published")
    assert not formula.holds(8, 20, costs)
    assert formula.evaluate(8, 20, costs) == published
    assert max(simulate(build("dualpipe", 8, 20), costs).idle) == found


def test_equal_devices_and_two_chunks_a_rank() -> None:
    makespans = {kind: simulate(build(kind, 8, 20)).makespan for kind in ("interleaved", "zb-v")}
    assert makespans == {"interleaved": 141, "zb-v": 127}
    exact = find_formula("dualpipev", "makespan", "exact")
    for FB, makespan in ((3, 134), (Fraction(11, 5), 110), (Fraction(83, 30), 127)):
        assert simulate(build("dualpipev", 8, 20), Costs(FB=FB)).makespan == makespan
        assert exact.evaluate(8, 20, Costs(FB=FB)) == makespan


def test_a_wrong_sign_is_seen() -> None:
    formula = find_formula("dualpipe", "bubble", "exact")
    wrong = replace(formula, _value=lambda c: 2 * c.F - formula._value(c))
    with pytest.raises(AssertionError):
        check_domain(wrong)


def test_a_domain_that_is_too_wide_is_seen() -> None:
    formula = find_formula("dualpipe", "bubble", "published")
    with pytest.raises(AssertionError):
        check_domain(replace(formula, _domain=lambda c: True))


def test_formulas_refuse_what_they_cannot_say() -> None:
    with pytest.raises(InputError, match="one number for each cost"):
        find_formula("1f1b", "bubble").evaluate(4, 8, Costs(F=(1, 2, 3, 4)))
    with pytest.raises(InputError, match=r"formulas are .*; got gpipe makespan"):
        find_formula("gpipe", "makespan")


def test_every_formula_says_what_it_is() -> None:
    names = [(formula.kind, formula.quantity, formula.name) for formula in FORMULAS]
    assert len(set(names)) == len(names)
    for formula in FORMULAS:
        assert all((formula.source, formula.expression, formula.domain))
