"""DualPipe's closed form: a search for counterexamples, and where it ends."""

# The letters of the formulas, and their order in an inequality.
# ruff: noqa: N803, N806

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualpipe_ref.simulate import Costs, find_formula, simulate

from .cones import closed_form
from .strategies import cached_build

extreme = st.one_of(
    st.builds(Fraction, st.integers(1, 12), st.integers(1, 6)),
    st.sampled_from([Fraction(1, 1000), Fraction(1, 50), Fraction(50), Fraction(1000)]),
)


@st.composite
def folded(draw: st.DrawFn) -> tuple[str, int, int]:
    """DualPipe or DualPipeV, from the smallest number of micro-batches on."""
    kind = draw(st.sampled_from(("dualpipe", "dualpipev")))
    step = 2 if kind == "dualpipe" else 1
    ranks = step * draw(st.integers(3 - step, 5))
    return kind, ranks, 2 * ranks - step + step * draw(st.integers(0, 5))


def check_closed_form(kind: str, ranks: int, microbatches: int, costs: Costs) -> None:
    timeline = simulate(cached_build(kind, ranks, microbatches), costs)
    makespan, bubble, worst = (
        find_formula(kind, quantity, "exact") for quantity in ("makespan", "bubble", "worst bubble")
    )
    case = ranks, microbatches, costs
    if makespan.holds(*case):
        assert timeline.makespan == makespan.evaluate(*case)
    if bubble.holds(*case):
        assert list(timeline.idle) == [bubble.evaluate(*case, rank) for rank in range(ranks)]
        assert max(timeline.idle) == worst.evaluate(*case)


@given(folded(), extreme, extreme, extreme, extreme, st.booleans(), st.sampled_from((0, 1, 2)))
def test_no_counterexample(
    size: tuple[str, int, int],
    F: Fraction,
    I: Fraction,  # noqa: E741
    W: Fraction,
    more: Fraction,
    slow_b: bool,
    longer: int,
) -> None:
    """FB from max(F, B), the least that two resources can do, to beyond F + B; B from I + W."""
    B = I + W + more * slow_b
    FB = {0: max(F, B), 1: F + B, 2: max(F, B) + more}[longer]
    check_closed_form(*size, Costs(F, I, W, B, FB))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "ranks"), [("dualpipe", 16), ("dualpipe", 32), ("dualpipev", 16)])
def test_no_counterexample_among_many_ranks(kind: str, ranks: int) -> None:
    values = (Fraction(1, 1000), 1, Fraction(10, 9), 1000)
    for more in (0, 2, 10):
        for F, I, W in combinations((*values, *values), 3):  # noqa: E741
            for FB in (max(F, I + W), F + I + W, F + I + 2 * W):
                costs = Costs(F, I, W, FB=FB)  # type: ignore[arg-type]
                check_closed_form(kind, ranks, 2 * ranks - (kind == "dualpipev") + more, costs)


def holds_exactly_where(H: int, n: int, costs: Costs) -> bool:
    """With B = I + W: the closed form reaches a little beyond the domain that the formula names."""
    F, B, FB = costs.of("F"), costs.of("B"), costs.of("FB")
    if FB < B:
        return False
    if n >= 2 * H:
        return (H - 2) * (F - FB) <= B
    return max(H - 3, 0) * (F - FB) <= B and (H - 2) * (F + B) <= (2 * H - 3) * FB


@given(st.integers(2, 5), st.integers(-1, 4), st.tuples(*[st.integers(1, 30)] * 4))
def test_exactly_where_it_holds(H: int, extra: int, times: tuple[int, int, int, int]) -> None:
    n, costs = 2 * H + extra, Costs(*times[:3], FB=times[3])
    makespan = simulate(cached_build("dualpipev", H, n), costs).makespan
    vector = tuple(costs.of(kind) for kind in ("F", "I", "W", "B", "FB"))
    expected = closed_form(H, n, vector)  # type: ignore[arg-type]
    assert makespan >= expected
    assert (makespan == expected) == holds_exactly_where(H, n, costs)


@given(st.integers(2, 5), st.integers(0, 4), st.tuples(*[st.integers(1, 30)] * 4))
def test_backwards_longer_than_the_pair_break_it(
    H: int, extra: int, times: tuple[int, int, int, int]
) -> None:
    F, I, W, FB = times  # noqa: E741
    assume(FB < I + W)
    timeline = simulate(cached_build("dualpipev", H, 2 * H + extra), Costs(F, I, W, FB=FB))
    assert timeline.makespan > closed_form(H, 2 * H + extra, (F, I, W, I + W, FB))


def test_smallest_counterexample_outside() -> None:
    """FB = 1 < B = 2: 2 units longer. P = m = 2: there is no FB, and the closed form counts -1 of them."""
    timeline = simulate(cached_build("dualpipev", 2, 4), Costs(FB=1))
    assert (timeline.makespan, closed_form(2, 4, (1, 1, 1, 2, 1))) == (20, 18)
    assert simulate(cached_build("dualpipe", 2, 2), Costs(FB=3)).makespan == 6
    assert not find_formula("dualpipe", "makespan", "exact").holds(2, 2, Costs(FB=3))
