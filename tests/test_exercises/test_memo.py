"""Chapter 16: the runs hold every trap, what is right for them agrees with the package, and a memo's numbers are read."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.break_even import break_even_pair
from dualpipe_ref.simulate.cluster.overlapped import interleaved_overlapped
from exercises.ch16 import solution, words
from exercises.ch16.demands import missing
from exercises.ch16.runs import runs
from exercises.ch16.truth import NAMES, costs_of, line_of, order, parts, rows_of

PAGE = (find_exercise("ch16").folder / "exercise.md").read_text(encoding="utf-8")


def test_the_page_states_domains_names_and_the_number_of_runs():
    assert solution.DOMAINS == words.DOMAINS
    assert tuple(solution.DOMAINS) == solution.NAMES == NAMES
    assert all(f"| {domain} |" in PAGE for domain in words.DOMAINS.values())
    assert f"\n{len(runs())} runs of 3 to 8 ranks" in PAGE
    assert all(unit in PAGE for unit in words.UNITS)


def test_every_trap_is_there():
    choices = Counter(judged.decision.choice for judged in runs())
    assert set(choices) == {*NAMES, None}
    assert min(choices.values()) >= 3
    rows = Counter((row.name, row.tier or row.why) for judged in runs() for row in judged.rows)
    for name in NAMES[2:]:
        assert rows[name, "pair"] >= 2
        assert rows[name, "order"] >= 5
    assert rows["ZB-V", "formula"] >= 5
    assert rows["ZB-V", "simulated"] >= 3
    assert rows["ZB-V", "costs"] >= 5
    for name in ("pair", "reserved", "memory"):
        assert {getattr(judged.flip, name) is None for judged in runs()} == {True, False}
    ups = [one.flip.reserved > one.run.reserved for one in runs() if one.flip.reserved is not None]
    assert min(Counter(ups).values()) >= 5


def test_of_ties_some_are_won_by_what_stands_later():
    tied = [one.decision for one in runs() if one.decision.margin == 0]
    later = [NAMES.index(one.choice) > NAMES.index(one.runner_up) for one in tied]
    assert set(later) == {True, False}


def test_the_pair_at_which_both_are_equal_is_that_of_break_even_pair():
    """Where the other has no pairs; the exercise crosses two straight lines, the package walks down a convex curve."""
    found = 0
    for judged in runs():
        run, told = judged.run, parts(judged.run)
        for name in NAMES[2:]:
            schedule = order(name, run.ranks, run.microbatches)
            if schedule is None:
                continue
            rival, line = line_of(run, "1F1B").fixed, line_of(run, name)
            pair = (rival - line.fixed) / line.slope
            costs = costs_of(run).per_stage_share(schedule)
            share = Fraction(run.ranks, schedule.placement.stages)
            wanted = pair * share if pair >= max(told["F"], told["B"]) else None
            assert break_even_pair(schedule, rival, costs) == wanted
            found += wanted is not None
    assert found > 20


@given(
    st.integers(2, 7),
    st.integers(1, 3),
    st.tuples(*[st.fractions(Fraction(1, 9), 9, max_denominator=9)] * 4),
)
def test_the_closed_form_of_the_overlapped_interleaved_order(ranks, rounds, times):
    forward, back, weights, more = times
    both, m = forward + back + weights, ranks * rounds
    pair = max(forward, back + weights) + more
    costs = Costs(forward, back, weights, FB=pair)
    wanted = 2 * ranks * both + (2 * m - ranks - 1) * pair
    assert simulate(interleaved_overlapped(ranks, m), costs).makespan == wanted


@pytest.mark.parametrize("place", range(0, 68, 9))
def test_a_memo_with_one_number_changed_is_rejected(place):
    """Any number, by one unit of its last digit but one."""
    judged = runs()[place]
    memo = solution.memo(judged.run.plain())
    assert words.unknown(judged, memo) is None
    assert missing(judged, memo) is None
    unit = "|".join(map(re.escape, words.UNITS))
    numbers = list(re.finditer(rf"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?= (?:{unit}))", memo))
    assert len(numbers) >= 10
    caught = 0
    for match in numbers:
        digits = match[0]
        step = Fraction(3, 10 ** len(digits.partition(".")[2]))
        changed = (
            f"{float(Fraction(digits.replace(',', '')) + step):.{len(digits.partition('.')[2])}f}"
        )
        text = memo[: match.start()] + changed + memo[match.end() :]
        caught += bool(words.unknown(judged, text) or missing(judged, text))
    assert caught >= len(numbers) - 1  # one may meet another number of the run


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("Recommendation: ", "Recommendation: not "),
        ("1F1B: ", "1F1B takes "),
        (" GPU hours, ", " hours, "),
        ("formula", "computed"),
        ("every m", "always"),
        (" GiB, ", ", "),
        ("fits;", "is small;"),
        ("fits;", "does not fit;"),
        ("outside", "beyond"),
        ("Margin: the runner-up, ", "Margin: "),
        ("Flips: ", "Flips: none; "),
        ("Flips: ", "It flips: "),
    ],
)
def test_a_memo_that_leaves_something_out_is_rejected(said, changed):
    """In some run: not every memo has all of it."""
    found = 0
    for judged in runs()[::4]:
        memo = solution.memo(judged.run.plain())
        text = memo.replace(said, changed)
        if said == "Margin: the runner-up, " and said in memo:
            text = memo.replace(f"{said}{judged.decision.runner_up}", changed)
        if said == "Flips: ":  # and without what it says
            start = memo.index(said)
            text = memo[:start] + changed + memo[memo.index("\n", start) :]
        found += missing(judged, text) is not None
    assert found


def test_bytes_do_not_depend_on_the_capacity():
    run = runs()[0].run
    small, large = rows_of(replace(run, memory=Fraction(1, 10**6))), rows_of(run)
    assert [row.bytes for row in small] == [row.bytes for row in large]
    assert not any(row.fits for row in small)
