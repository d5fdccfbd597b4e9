"""Rankings: the sentence is true of the ledgers, differences add up, peaks are those of the whole walk."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import build, simulate
from dualpipe_ref.schedule import KINDS, InputError
from dualpipe_ref.simulate.cluster import Plan, evaluate, mean
from dualpipe_ref.simulate.cluster.ranked import ranking, why_first
from dualpipe_ref.simulate.cluster.step import misfit
from dualpipe_ref.simulate.cluster.study import (
    RANKINGS,
    Choice,
    differences,
    rank,
    schedules_of,
    transports_of,
)
from dualpipe_ref.simulate.footprint import footprint, peaks
from dualpipe_ref.simulate.fused_bytes import Deployment

SMALL = Plan(gpus=512, pipeline=8, sequences=1024)  # m = 16
TIGHT = replace(SMALL, device=replace(SMALL.device, memory=140.0))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from([2, 4, 6]), st.integers(1, 3))
def test_peaks_alone_are_those_of_all_levels(kind: str, ranks: int, rounds: int) -> None:
    schedule = build(kind, ranks, 2 * ranks * rounds)
    timeline, stages = simulate(schedule), Deployment().stages(schedule.placement)
    assert peaks(timeline, stages) == footprint(timeline, stages).peaks


def test_differences_add_up_and_go_both_ways() -> None:
    one, other = (
        evaluate(SMALL, memory=False),
        evaluate(replace(SMALL, schedule="zb-v"), memory=False),
    )
    there = {row.label: row.saved for row in differences(one, other)}
    back = {row.label: row.saved for row in differences(other, one)}
    assert sum(there.values()) == mean(other).total - mean(one).total
    assert there == {label: -saved for label, saved in back.items()}
    assert list(there.values()) == sorted(there.values(), reverse=True)


@pytest.mark.parametrize("by", RANKINGS)
def test_the_sentence_is_true_of_the_rows(by: str) -> None:
    found = ranking(TIGHT, by)
    runs = [row for row in found["rows"] if not row["why"]]
    assert [row["step_s"] for row in runs] == sorted(row["step_s"] for row in runs)
    assert f"First is {runs[0]['name']}" in found["sentence"]
    told = re.search(r"; (\S+(?: SMs)?) is next with (\S+) s", found["sentence"])
    assert told
    following = next(row for row in runs if row["name"] == told[1])
    assert float(told[2]) == pytest.approx(following["step_s"], abs=1e-3)
    for label, seconds, way in re.findall(
        r"[:,] ([a-zA-Z -]+) (\d\S+) s (less|more)", found["sentence"]
    ):
        saved = following["ledger_s"][label] - runs[0]["ledger_s"][label]
        assert float(seconds) == pytest.approx(saved if way == "less" else -saved, abs=1e-3)


def test_a_misfit_has_a_step_and_comes_last() -> None:
    """Planted: the same plans on a device with a byte less than the first of them needs."""
    first = rank(schedules_of(TIGHT))[0]
    assert first.step
    need = first.step.peaks[first.step.worst_rank].total
    device = replace(TIGHT.device, memory=(need - 1) / 1e9)
    found = rank(schedules_of(replace(TIGHT, device=device)))
    (same,) = (one for one in found if one.plan.schedule == first.plan.schedule)
    assert same.step
    assert same.step.seconds == first.step.seconds
    assert "too many" in same.why
    assert found[0].plan.schedule != first.plan.schedule
    assert all(bool(one.why) <= bool(other.why) for one, other in itertools.pairwise(found))


def test_what_does_not_fit_is_said_with_or_without_a_way_out() -> None:
    step = evaluate(replace(Plan(), policy="none"), memory=False)
    short, long = misfit(step, mend=False), misfit(step)
    assert short
    assert long
    assert (short.rule, short.got) == (long.rule, long.got)
    assert short.nearest is None
    assert long.nearest == "policy = up-projections"
    with pytest.raises(InputError, match="policy = up-projections"):
        evaluate(step.plan)


def test_nothing_to_take_and_nothing_apart() -> None:
    choices = rank(transports_of(replace(TIGHT, gpus=500)))
    assert why_first(["x"] * 6, choices) == "None of the 6 can be taken."
    step = evaluate(TIGHT)
    alike = [Choice(TIGHT, step), Choice(TIGHT, step)]
    assert why_first(["a", "b"], alike).endswith("a step; all are alike.")
    assert "level with b" in why_first(["a", "b"], alike)
    alone = [Choice(TIGHT, step), Choice(TIGHT, step, "too large")]
    assert why_first(["a", "b"], alone).endswith("; the other one breaks a rule.")


@pytest.mark.parametrize("schedule", ["1f1b", "zb-v"])
def test_what_only_happens_beside_others_changes_nothing_without_pairs(schedule: str) -> None:
    """Layers were once shared out as if they ran in pairs."""
    plan = replace(SMALL, schedule=schedule)
    for name in ("slowed_all_to_all", "computation_beside"):
        changed = replace(plan, kernels=plan.kernels.changed(**{name: 2.0}))
        assert (
            evaluate(changed, memory=False).nanoseconds == evaluate(plan, memory=False).nanoseconds
        )
