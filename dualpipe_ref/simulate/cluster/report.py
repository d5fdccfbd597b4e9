"""The planner's reports as plain data, for `dualpipe-ref plan`, its bench, and pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.cluster.books import mean
from dualpipe_ref.simulate.cluster.constants import CONSTANTS
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.profile import Profile, published
from dualpipe_ref.simulate.cluster.published import RUNS, ZERO_BUBBLE, Run
from dualpipe_ref.simulate.cluster.step import Step, evaluate
from dualpipe_ref.simulate.cluster.study import (
    FACTORS,
    Sensitivity,
    as_in_trace,
    pair_profile,
    zero_bubble,
)

Rows = list[dict[str, Any]]


def step_data(step: Step, run: Run | None = None) -> dict[str, Any]:
    """A step: its numbers, its ledger, and what is published for the run."""
    plan, books = step.plan, mean(step)
    peak = step.peaks[step.worst_rank]
    return {
        "plan": title_of(plan),
        "step_s": step.seconds,
        "tokens_per_gpu_second": step.tokens_per_second,
        "model_tflops": step.model_tflops,
        "utilisation": step.utilisation,
        "gpu_hours_per_trillion_tokens": step.hours_per_trillion,
        "memory_gb": peak.total / 1e9,
        "memory_rank": step.worst_rank,
        "capacity_gb": plan.device.memory,
        "layers": list(step.layout.split),
        "waiting": float(books.waiting),
        "ledger_s": {label: float(time) / 1e9 for label, time in books.rows.items()},
        "published": compared(run, step) if run and run.plan == plan else [],
    }


def title_of(plan: Plan) -> str:
    """A plan in one line."""
    cut = f"PP{plan.pipeline} x TP{plan.tensor} x DP{plan.data}, EP{plan.expert_ranks}"
    sms = f", {plan.reserved} of {plan.device.sms} SMs reserved" if plan.reserved else ""
    return (
        f"{plan.shape.parameters.total / 1e9:.0f}B on {plan.gpus} {plan.device.name}: {cut};"
        f" {plan.sequences} x {plan.length} tokens, {plan.schedule}, m = {plan.microbatches}{sms}"
    )


def compared(run: Run, step: Step) -> Rows:
    """Each published number beside the predicted one."""
    return [
        {
            "name": one.name,
            "published": one.value,
            "predicted": one.predicted(step),
            "off": one.predicted(step) / one.value - 1,
            "unit": one.unit,
            "source": one.source,
            "grade": one.grade,
        }
        for one in run.published
    ]


def sensitivity_data(plan: Plan, found: Iterable[Sensitivity]) -> dict[str, Any]:
    base = evaluate(plan, memory=False).hours_per_trillion
    return {
        "hours": base,
        "factors": list(FACTORS),
        "rows": [
            {"constant": one.name, "change": [hours / base - 1 for hours in one.hours]}
            for one in found
        ],
    }


def constants_data() -> Rows:
    return [one._asdict() for one in CONSTANTS]


def published_data() -> Rows:
    """All runs; DeepSeek-V3 also with computation as in its own trace; the pair itself; zero bubble's tables."""
    rows: Rows = []
    for name, run in RUNS.items():
        step = evaluate(run.plan, memory=False)
        rows += [{"run": name} | one for one in compared(run, step)]
    base = RUNS["deepseek-v3"]
    for everywhere, name in ((False, "pairs"), (True, "all")):
        traced = evaluate(as_in_trace(base.plan, everywhere=everywhere), memory=False)
        run_name = f"deepseek-v3, {name} as in its trace"
        rows += [{"run": run_name} | one for one in compared(base, traced)]
    return [*rows, *_pair_rows(base.plan), *_zero_bubble_rows()]


def _row(
    run: str, name: str, told: float, predicted: float, unit: str, source: str
) -> dict[str, Any]:
    off = predicted / told - 1 if told else 0.0
    values = {"published": told, "predicted": predicted, "off": off, "unit": unit}
    return {"run": run, "name": name, **values, "source": source}


def _pair_rows(plan: Plan) -> Rows:
    told, found = published(), pair_profile(plan)
    numbers: tuple[tuple[str, float, float, str], ...] = (
        ("computing", told["computing_ms"], found.computing / 1e6, "ms"),
        ("dispatch", told["kernels"]["dispatch"]["mean_ms"], found.dispatch / 1e6, "ms"),
        ("combine", told["kernels"]["combine"]["mean_ms"], found.combine / 1e6, "ms"),
        ("communication to computation", told["ratio"], found.ratio, ""),
        ("exposed", told["exposed_share"], found.exposed, "of communication"),
        ("blocks of communication", told["communication_grid"], plan.reserved, "blocks"),
        (
            "blocks of products",
            told["computation_grid"],
            plan.device.sms - plan.reserved,
            "blocks",
        ),
    )
    source = told["source"]
    return [_row("deepseek-v3, a pair", *one, source) for one in numbers]


def _zero_bubble_rows() -> Rows:
    rows: Rows = []
    source = "Zero Bubble, arXiv:2401.10241, from memory"
    for one in ZERO_BUBBLE:
        for count, (plain, split) in one.rates.items():
            found = zero_bubble(one, count)
            run = f"zero bubble {one.model}, P = {one.ranks}, m = {count}"
            rows.append(_row(run, "1F1B's bubble", plain, found.one_f_one_b, "", source))
            rows.append(_row(run, "ZB-H1's bubble", split, found.zb_h1, "", source))
            before, after = one.samples[count]
            rows.append(_row(run, "speedup", after / before, found.speedup, "x", source))
    return rows


def profile_data(profile: Profile, told: dict[str, Any], planned: Profile) -> Rows:
    """The numbers of a trace beside those of DeepSeek's, and of the pair that the planner has."""
    if not profile.wall:
        raise InputError("the kernels of a trace last", "0 ns")
    rows: Rows = []
    for name, key, unit in PROFILED:
        this, plan = (_profiled(one, key) for one in (profile, planned))
        rows.append(
            {"name": name, "this": this, "deepseek": told[key], "planned": plan, "unit": unit}
        )
    for name in profile.kernels:
        this, plan = (_mean(one, name) for one in (profile, planned))
        of = told["kernels"][name]["mean_ms"]
        label = f"{name}, {profile.kernels[name][0]} times"
        rows.append({"name": label, "this": this, "deepseek": of, "planned": plan, "unit": "ms"})
    return rows


# Name, key of DeepSeek's numbers, unit.
PROFILED = (
    ("wall", "wall_ms", "ms"),
    ("communicating", "communicating_ms", "ms"),
    ("computing", "computing_ms", "ms"),
    ("both at once", "both_ms", "ms"),
    ("exposed", "exposed_share", "of communication"),
    ("communication to computation", "ratio", ""),
    ("blocks of communication", "communication_grid", ""),
    ("blocks of computation", "computation_grid", ""),
)


def _profiled(profile: Profile, key: str) -> float:
    if key.endswith("_ms"):
        found: float = getattr(profile, key.removesuffix("_ms")) / 1e6
        return found
    value: float = getattr(profile, key)
    return value


def _mean(profile: Profile, name: str) -> float:
    count, total = profile.kernels[name]
    return total / count / 1e6 if count else 0.0
