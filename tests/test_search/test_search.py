"""The search against all orders of tiny problems, against closed forms, and against planted faults."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ortools")

from dualpipe_ref import InputError
from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.schedule.violations import VerificationError
from dualpipe_ref.search import NothingFoundError, Problem, rules_of, search
from dualpipe_ref.search.model import Model
from dualpipe_ref.simulate import Costs, simulate

from .every_order import fastest, rank_orders

SECONDS = 60
times = st.integers(1, 4)
halves = st.builds(Fraction, st.integers(1, 7), st.sampled_from((1, 2)))


def best_of(problem: Problem) -> Fraction:
    found = search(problem, seconds=SECONDS, workers=2)
    assert found.optimal, (problem, found)
    assert simulate(found.schedule, problem.costs).makespan == found.makespan
    return found.makespan


def check(problem: Problem) -> None:
    wanted = fastest(problem)
    if wanted is None:
        with pytest.raises(NothingFoundError, match="no order keeps these caps"):
            search(problem, seconds=SECONDS)
    else:
        assert best_of(problem) == wanted, problem


def costs(draw: st.DrawFn, paired: bool) -> Costs:
    found = Costs(draw(halves), draw(halves), draw(halves))
    if not paired:
        return found
    F, B = found.of("F"), found.of("B")  # noqa: N806
    return replace(found, FB=max(F, B) + min(F, B) * Fraction(draw(st.integers(0, 4)), 4))


@st.composite
def tiny(draw: st.DrawFn) -> Problem:
    """Problems with some thousand orders at most."""
    placement, backward, m, paired = draw(
        st.sampled_from(
            [
                ("linear", "whole", 2, False),
                ("linear", "whole", 2, True),
                ("linear", "split", 2, False),
                ("linear", "split", 2, True),
                ("v", "whole", 1, False),
                ("v", "split", 1, False),
                ("looped", "whole", 1, False),
                ("bidirectional", "whole", 2, False),
                ("bidirectional", "whole", 2, True),
                ("bidirectional", "split", 2, False),
                ("bidirectional", "split", 2, True),
            ]
        )
    )
    least = 2 if placement in ("v", "looped") else 1
    cap = st.none() | st.integers(least, 4) | st.tuples(*[st.integers(least, 3)] * 2)
    return Problem(
        placement,
        2,
        m,
        costs(draw, paired),
        backward,
        draw(cap),
        draw(cap),  # type: ignore[arg-type]
    )


@settings(max_examples=25, deadline=None)
@given(tiny())
def test_it_finds_what_all_orders_have_to_offer(problem: Problem) -> None:
    check(problem)


@pytest.mark.parametrize("cap", [1, 2, None])
def test_three_micro_batches(cap: int | None) -> None:
    check(Problem("linear", 2, 3, Costs(2, 1, 2), "whole", cap))


@pytest.mark.parametrize("cap", [None, 2, 3])
def test_a_v_of_two_micro_batches(cap: int | None) -> None:
    check(Problem("v", 2, 2, Costs(1, 2, 1), "whole", cap))


PAIRS_AND_W = [Costs(1, 1, 3, FB=4), Costs(2, 1, 2, FB=3)]


@pytest.mark.parametrize("costs", PAIRS_AND_W)
@pytest.mark.parametrize("cap", [(2, 1), (1, 2)])
def test_a_pair_may_run_while_an_earlier_w_waits(costs: Costs, cap: tuple[int, int]) -> None:
    check(Problem("linear", 2, 3, costs, "split", cap))


@pytest.mark.slow
def test_a_pair_may_run_while_an_earlier_w_waits_on_both_ranks() -> None:
    check(Problem("linear", 2, 3, Costs(1, 1, 3, FB=4), "split", 2))


@pytest.mark.slow
@pytest.mark.parametrize("pair", [None, 3, 4])
def test_a_v_of_two_micro_batches_with_pairs(pair: int | None) -> None:
    check(Problem("v", 2, 2, Costs(1, 2, 1, FB=pair), "whole"))


def test_all_orders_are_all() -> None:
    """A rank with three micro-batches in one stage: 9!/(3!)^3 ways to run F, I and W."""
    assert len(rank_orders(Problem("linear", 2, 3, backward="split"), 0)) == 1680
    assert len(rank_orders(Problem("linear", 2, 3, backward="whole"), 0)) == 90
    # Two micro-batches of F, B: six orders, of which F0 F1 B0 B1 may pair F1 with B0.
    assert len(rank_orders(Problem("linear", 2, 2, Costs(FB=2), "whole"), 0)) > 6


@settings(max_examples=15, deadline=None)
@given(times, times, times, st.integers(2, 3), st.integers(1, 5))
def test_nothing_beats_1f1b_in_one_direction(F: int, I: int, W: int, P: int, m: int) -> None:  # noqa: E741, N803
    """With whole backwards, (m + P - 1)(F + B) is the least, whatever the memory."""
    whole = Costs(F, I, W)
    assert best_of(Problem("linear", P, m, whole, "whole")) == (m + P - 1) * (F + I + W)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(("1f1b", "zb-h1", "zb-v", "chimera", "dualpipev")), times, times, times)
def test_a_hand_made_schedule_is_never_better(kind: str, F: int, I: int, W: int) -> None:  # noqa: E741, N803
    """And its times are a solution: the search that begins with it finds it at once."""
    known = build(kind, 2, 4)
    exact = (
        Costs(F, I, W, FB=F + I + W - Fraction(1, 2) * min(F, I + W))
        if kind[0] == "d"
        else Costs(F, I, W)
    )
    placement, backward = rules_of(known)
    problem = Problem(placement, 2, 4, exact, backward, max_held=max(peaks(known).held))
    found = search(problem, seconds=SECONDS, known=known)
    by_hand = simulate(known, exact).makespan
    assert found.bound <= found.makespan <= by_hand
    assert all(held <= max(peaks(known).held) for held in peaks(found.schedule).held)
    fixed = Model(problem, known)
    assert not fixed.cp.validate()


def test_zb_h1_is_the_best_at_equal_costs_and_for_its_memory_alone_at_others() -> None:
    equal, long_input = Costs(), Costs(1, 2, 1)
    for costs, beaten in ((equal, False), (long_input, True)):
        by_hand = simulate(build("zb-h1", 3, 6), costs).makespan
        assert best_of(Problem("linear", 3, 6, costs, max_held=3)) == by_hand
        assert (best_of(Problem("linear", 3, 6, costs)) < by_hand) == beaten


def test_more_memory_is_never_slower() -> None:
    times = [best_of(Problem("linear", 3, 5, max_held=cap)) for cap in range(1, 6)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_a_w_that_must_not_be_overtaken_costs_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: all W of a stage in order, those in pairs too. The first version of the model had it, and
    "proved" 56 where 55 can be had."""
    problem = Problem("v", 2, 4, Costs(2, 3, 2, FB=6), max_held=5)
    assert best_of(problem) == 55

    def strict(self: Model) -> None:
        for (rank, slot, k), work in self.chunks.items():
            after = self.chunks.get((rank, slot, k + 1))
            if after is not None and after.weight is not None and work.weight is not None:
                self.cp.add(after.weight[0] >= work.weight[0])

    monkeypatch.setattr(Model, "_weights_in_order", strict)
    assert best_of(problem) == 56


# Planted faults: each must be seen by what checks the search, not by luck.


def test_a_cap_off_by_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("linear", 3, 4, max_activations=1)
    memory = Model._memory

    def one_more(self: Model, rank: int) -> None:
        own, self.problem = self.problem, replace(problem, max_activations=2)
        memory(self, rank)
        self.problem = own

    monkeypatch.setattr(Model, "_memory", one_more)
    with pytest.raises(InputError, match="what was found keeps max_activations"):
        search(problem, seconds=SECONDS)


def test_a_cap_that_is_too_tight_is_seen_beside_all_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("linear", 2, 2, Costs(1, 1, 1), max_activations=2)
    memory = Model._memory

    def one_less(self: Model, rank: int) -> None:
        own, self.problem = self.problem, replace(problem, max_activations=1)
        memory(self, rank)
        self.problem = own

    monkeypatch.setattr(Model, "_memory", one_less)
    with pytest.raises(AssertionError):
        check(problem)


@pytest.mark.parametrize("name", ["_along_the_model", "_one_at_a_time"])
def test_a_missing_constraint_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ops that run before what they need, or two at a time: the verifier refuses, or the simulator takes longer."""
    monkeypatch.setattr(Model, name, lambda *_: None)
    with pytest.raises((AssertionError, VerificationError)):
        search(Problem("v", 2, 3), seconds=SECONDS)


def test_a_bound_that_is_too_high_is_seen_beside_all_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted fault: every rank is to be busy for the whole way out, too."""
    bound = Model._bound
    monkeypatch.setattr(Model, "_bound", lambda self, rank, busy: bound(self, rank, busy + 2))
    with pytest.raises((AssertionError, NothingFoundError)):
        check(Problem("linear", 2, 2, backward="whole"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"placement": "round"}, "a placement is one of"),
        ({"backward": "half"}, "split or whole"),
        ({"ranks": 1}, "P"),
        ({"placement": "bidirectional", "microbatches": 3}, "nearest legal: m = 4"),
        ({"costs": Costs(F=(1, 2))}, "one exact number for each cost"),
        ({"costs": Costs(F=1.5)}, "one exact number for each cost"),
        ({"max_held": (1, 2, 3)}, "one number, or one a rank"),
        ({"placement": "v", "max_held": 1}, "nearest legal: max_held = 2"),
        ({"max_activations": 0}, "max_activations"),
    ],
)
def test_what_cannot_be_searched_is_refused(change: dict[str, Any], message: str) -> None:
    given = {"placement": "linear", "ranks": 2, "microbatches": 2, **change}
    with pytest.raises(InputError, match=message):
        Problem(**given)


def test_a_beginning_that_holds_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="the schedule to begin with keeps max_held"):
        search(Problem("linear", 2, 4, backward="whole", max_held=2), known=build("gpipe", 2, 4))
    with pytest.raises(InputError, match="seconds are more than 0"):
        search(Problem("linear", 2, 4), seconds=0)
