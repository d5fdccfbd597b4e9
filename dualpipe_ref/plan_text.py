"""What `dualpipe-ref plan` prints: texts of the reports in `simulate.cluster.report`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from dualpipe_ref.simulate.cluster.books import ROWS
from dualpipe_ref.simulate.cluster.ranked import shares
from dualpipe_ref.simulate.cluster.report import Rows
from dualpipe_ref.simulate.table import table


def step_text(data: dict[str, Any]) -> str:
    words = {label: what for label, what, _ in ROWS}
    total = sum(data["ledger_s"].values())
    ledger = [
        [f"{time:.3f}", f"{100 * time / total:.1f} %", f"{label}: {words[label]}"]
        for label, time in data["ledger_s"].items()
        if time
    ]
    parts = [
        data["plan"],
        f"step {data['step_s']:.3f} s, {data['tokens_per_gpu_second']:.1f} tokens a GPU and second,"
        f" {data['model_tflops']:.0f} TFLOP/s of the model = {100 * data['utilisation']:.1f} % of the peak in bf16,"
        f" {data['gpu_hours_per_trillion_tokens']:,.0f} GPU hours for 10^12 tokens",
        f"memory {data['memory_gb']:.1f} of {data['capacity_gb']} GB on rank {data['memory_rank']};"
        f" layers of stages {_runs(data['layers'])}",
        "the step, mean over GPUs, in s:\n" + _left([*ledger, [f"{total:.3f}", "100 %", "step"]]),
    ]
    parts += [
        f"{one['name']}: published {one['published']:,g}, predicted {_digits(one['predicted'])}"
        f" ({100 * one['off']:+.1f} %); {one['source']}"
        for one in data["published"]
    ]
    return "\n\n".join(parts)


def _runs(numbers: Sequence[int]) -> str:
    """Equal neighbours together.

    >>> _runs([0, 1, 1, 1, 0])
    '0, 3 x 1, 0'
    """
    runs = [(number, len(list(some))) for number, some in groupby(numbers)]
    return ", ".join(f"{count} x {number}" if count > 1 else f"{number}" for number, count in runs)


def _left(rows: Sequence[Sequence[str]]) -> str:
    """Like `table`, with a last column of words that begins at the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{row[0].rjust(widths[0])}  {row[1].rjust(widths[1])}  {row[2]}" for row in rows
    )


def explained_text(rows: Rows) -> str:
    return "\n".join(f"{row['name']}: {row['value']}\n    {row['formula']}" for row in rows)


def ranking_text(data: dict[str, Any]) -> str:
    header = ["", "SMs", "step, s", "GPU hours", "MFU", "bubble", "exposed", "SM tax", "memory, GB"]
    body = [
        [
            row["name"],
            str(row["reserved_sms"]),
            f"{row['step_s']:.3f}",
            f"{row['gpu_hours_per_trillion_tokens']:,.0f}",
            *(f"{100 * share:.1f} %" for share in (row["utilisation"], *shares(row))),
            f"{row['memory_gb']:.1f}",
        ]
        for row in data["rows"]
        if not row["why"]
    ]
    refused = [
        f"{row['name']}: {row['why'].removeprefix(row['name'] + ': ')}"
        for row in data["rows"]
        if row["why"]
    ]
    return "\n".join([data["sentence"], table([header, *body]), *refused])


def sensitivity_text(data: dict[str, Any]) -> str:
    header = ["constant", *(f"x {factor}" for factor in data["factors"])]
    body = [
        [row["constant"], *(f"{100 * change:+.1f} %" for change in row["change"])]
        for row in data["rows"]
    ]
    return f"{data['hours']:,.0f} GPU hours for 10^12 tokens, and with\n{table([header, *body])}"


def constants_text(rows: Rows) -> str:
    return "\n".join(
        f"{row['name']} = {row['value']:.4g} {row['unit']} [{row['grade']}]: {row['source']}"
        for row in rows
    )


def published_text(rows: Rows) -> str:
    header = ["run", "number", "published", "predicted", "off"]
    body = [
        [
            row["run"],
            row["name"],
            _digits(row["published"]),
            _digits(row["predicted"]),
            f"{100 * row['off']:+.1f} %",
        ]
        for row in rows
    ]
    return table([header, *body])


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 1e4 else f"{number:.4g}"


def profile_text(rows: Rows) -> str:
    keys = ("this", "deepseek", "planned")
    body = [[row["name"], *(float(row[key]) for key in keys), row["unit"]] for row in rows]
    return table([["", "this trace", "DeepSeek's", "planned", ""], *body])
