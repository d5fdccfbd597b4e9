"""A ranking of plans as plain data, and in a sentence why the first is the first: for `dualpipe-ref plan --rank` and the chooser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualpipe_ref.simulate.cluster.books import mean
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.step import NS
from dualpipe_ref.simulate.cluster.study import RANKINGS, Choice, differences, rank

ALIKE = 1e-9  # of a step: what is closer is the same


def ranking(plan: Plan, by: str) -> dict[str, Any]:
    """Plans that differ from `plan` in one thing, "schedules", "transports" or "sms", ranked: {"sentence", "rows"}.

    >>> found = ranking(Plan(), "transports")
    >>> found["sentence"]
    'First is fused with 14.776 s a step; copy-engine is next with 15.699 s: exposed all-to-all 0.656 s less, bubble 0.269 s less, messages 0.002 s more.'
    >>> [row["name"] for row in found["rows"]]
    ['fused', 'copy-engine', 'in-network', 'few-sms', 'sms', 'low-latency']
    """
    chosen = RANKINGS[by]
    choices = rank(chosen.plans(plan))
    names = [chosen.name(one.plan) for one in choices]
    return {
        "sentence": why_first(names, choices),
        "rows": [_row(name, one) for name, one in zip(names, choices, strict=True)],
    }


def _row(name: str, choice: Choice) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "schedule": choice.plan.schedule,
        "transport": choice.plan.transport.name,
        "capacity_gb": choice.plan.device.memory,
        "why": choice.why,
    }
    step = choice.step
    if step is None:
        return row
    books = mean(step)
    return row | {
        "reserved_sms": choice.plan.reserved,
        "step_s": step.seconds,
        "tokens_per_gpu_second": step.tokens_per_second,
        "gpu_hours_per_trillion_tokens": step.hours_per_trillion,
        "utilisation": step.utilisation,
        "memory_gb": step.peaks[step.worst_rank].total / NS,
        "memory_rank": step.worst_rank,
        "waiting": float(books.waiting),
        "ledger_s": {label: float(time) / NS for label, time in books.rows.items()},
    }


def shares(row: dict[str, Any]) -> list[float]:
    """Bubble, exposed all-to-all and SM tax of a row, in parts of it."""
    return [
        row["ledger_s"][label] / row["step_s"]
        for label in ("bubble", "exposed all-to-all", "SM tax")
    ]


def why_first(names: Sequence[str], choices: Sequence[Choice]) -> str:
    """The first of a ranking beside the next that is slower, and the lines of the ledger that make the difference."""
    runs = [
        (name, one.step)
        for name, one in zip(names, choices, strict=True)
        if one.step and not one.why
    ]
    if not runs:
        return f"None of the {len(choices)} can be taken."
    name, best = runs[0]
    slower = [
        (other, step) for other, step in runs[1:] if step.seconds > best.seconds * (1 + ALIKE)
    ]
    level = [other for other, _ in runs[1 : len(runs) - len(slower)]]
    words = f"First is {name}{', level with ' if level else ''}{' and '.join(level)}"
    words += f"{',' if level else ''} with {best.seconds:.3f} s a step"
    if not slower:
        return f"{words}; {_nothing_else(len(choices) - len(runs))}."
    following, step = slower[0]
    found = differences(best, step)
    saved = [
        f"{row.label} {float(row.saved) / NS:.3f} s less" for row in found[:2] if row.saved > 0
    ]
    lost = [
        f"{row.label} {-float(row.saved) / NS:.3f} s more" for row in found[-1:] if row.saved < 0
    ]
    return f"{words}; {following} is next with {step.seconds:.3f} s: {', '.join([*saved, *lost])}."


def _nothing_else(refused: int) -> str:
    if not refused:
        return "all are alike"
    return "the other one breaks a rule" if refused == 1 else f"the other {refused} break a rule"
