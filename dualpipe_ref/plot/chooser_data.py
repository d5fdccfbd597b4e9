"""A ranking of plans as a live view shows it: stacked bars, a table, and what breaks a rule. Standard library only."""

from __future__ import annotations

import re
from typing import Any

from dualpipe_ref.plot.bars import bar_colours
from dualpipe_ref.plot.palette import Palette, palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.books import LABELS
from dualpipe_ref.simulate.cluster.ranked import shares

REST = "rest"
# Rows of the ledger that have a part of their own, and the pattern that tells it without colour.
PARTS = {
    "computing": "useful",
    "made again": "other",
    "SM tax": "reserved",
    "exposed all-to-all": "hidden",
    "bubble": "waiting",
    REST: "rest",
}
HEAD = (
    "",
    "step, s",
    "GPU hours",
    "bubble",
    "exposed",
    "SM tax",
    "SMs",
    "memory, GB",
)


def chooser_data(found: dict[str, Any], unit: int) -> dict[str, Any]:
    """Of what `ranked.ranking` found; `unit` sequences are one micro-batch of every pipeline.

    >>> from dualpipe_ref.simulate.cluster import Plan
    >>> from dualpipe_ref.simulate.cluster.ranked import ranking
    >>> data = chooser_data(ranking(Plan(), "transports"), 128)
    >>> data["bars"][0]["label"], data["table"]["rows"][0][:3]
    ('1. fused: 14.78 s', ['fused', '14.78', '133,606'])
    """
    runs = [row for row in found["rows"] if not row["why"]]
    return {
        "view": "chooser",
        "sentence": found["sentence"],
        "bars": [
            {"label": f"{place}. {row['name']}: {row['step_s']:.2f} s", "parts": _parts(row)}
            for place, row in enumerate(runs, 1)
        ],
        "table": {"head": list(HEAD), "rows": [_line(row) for row in runs]},
        "facts": [_refused(row, unit) for row in found["rows"] if row["why"]],
        "palettes": {name: colours_of(palette(name)) for name in ("light", "dark")},
    }


def _parts(row: dict[str, Any]) -> list[dict[str, Any]]:
    ledger = row["ledger_s"]
    times = {label: ledger[label] for label in PARTS if label != REST}
    times[REST] = sum(ledger[label] for label in LABELS if label not in PARTS)
    return [
        {"label": label, "value": time, "text": f"{time:.2f} s", "kind": PARTS[label]}
        for label, time in times.items()
    ]


def _line(row: dict[str, Any]) -> list[str]:
    return [
        row["name"],
        f"{row['step_s']:.2f}",
        f"{row['gpu_hours_per_trillion_tokens']:,.0f}",
        *(f"{100 * share:.1f} %" for share in shares(row)),
        str(row["reserved_sms"]),
        f"{row['memory_gb']:.1f} of {row['capacity_gb']:g}",
    ]


def _refused(row: dict[str, Any], unit: int) -> dict[str, str]:
    why = in_microbatches(row["why"].removeprefix(f"{row['name']}: "), unit)
    value = "does not fit" if "step_s" in row else "cannot run"
    return {"label": row["name"], "value": value, "note": why}


def in_microbatches(words: str, unit: int) -> str:
    """What a rule says of sequences, told of micro-batches, which are what can be moved here.

    >>> in_microbatches("got P = 16, m = 120, from sequences = 15360; nearest legal: sequences = 14336", 128)
    'got P = 16, m = 120; nearest legal: m = 112'
    """
    words = words.replace(" (m = sequences / (data x micro))", "")
    words = re.sub(r", from sequences = \d+", "", words)
    return re.sub(r"sequences = (\d+)$", lambda told: f"m = {int(told[1]) // unit}", words)


def colours_of(colours: Palette) -> dict[str, Any]:
    """Fill, pattern and words of each part."""
    fills = {
        "useful": colours.fill(OpKind.B),
        "other": colours.fill(OpKind.I),
        "reserved": colours.fill(OpKind.W),
        "hidden": colours.fill(OpKind.F),
        "waiting": colours.idle,
        "rest": colours.fill(OpKind.W, 1),
    }
    return bar_colours(colours, fills, {"waiting": colours.muted})
