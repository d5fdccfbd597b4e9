"""The one form of a results file: rows that the book's tables are made from, never typed by hand."""

from __future__ import annotations

import datetime
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref import __version__
from dualpipe_ref.plot.measured import RESULTS
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.simulate.table import table

ROOT = Path(__file__).resolve().parents[2]


class Row(NamedTuple):
    """One measured value. `target` is such as ">= 10"; `why` says why a row misses its target."""

    bench: str
    value: float
    unit: str
    target: str | None = None
    why: str | None = None


def meets(value: float, target: str | None) -> bool:
    """Whether a value meets a target such as ">= 10" or "<= 0.037"; no target is always met.

    >>> meets(12, ">= 10"), meets(0.04, "<= 0.037"), meets(1, None)
    (True, False, True)
    """
    if target is None:
        return True
    match = re.fullmatch(r"(<=|>=) ([0-9.e+-]+)", target)
    if match is None:
        raise ValueError(f"a target is '>= number' or '<= number'; got {target!r}")
    limit = float(match[2])
    return value >= limit if match[1] == ">=" else value <= limit


def record(
    name: str,
    tier: str,
    rows: Sequence[Row],
    packages: Sequence[str] = (),
    out: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write the rows of a bench, with what they were measured on and what is `more`, whole or not at all."""
    stamp = {
        "tier": tier,
        "versions": _versions(packages),
        "machine": platform.machine(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        **(more or {}),
    }
    data = [_row(row) | stamp for row in rows]
    path = Path(out) if out else results_folder() / f"{name}.json"
    write_text(path, json.dumps(data, indent=1) + "\n")
    return path


def results_folder() -> Path:
    """book/results of the checkout that the package runs from, else the current folder."""
    return RESULTS if RESULTS.is_dir() else Path.cwd()


def _row(row: Row) -> dict[str, Any]:
    kept = {
        "bench": row.bench,
        "value": float(f"{row.value:.4g}"),
        "unit": row.unit,
        "target": row.target,
    }
    if not meets(row.value, row.target):
        kept["why"] = row.why or "missed its target on this machine; not explained yet"
    return kept


def as_text(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    header = ["bench", "value", "unit", "target", "met"]
    body = [
        [row.bench, f"{row.value:.4g}", row.unit, row.target or "", _verdict(row)] for row in rows
    ]
    return table([header, *body])


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    return "yes" if meets(row.value, row.target) else "NO"


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"python": platform.python_version(), "dualpipe_ref": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _commit() -> str:
    """The commit of the checkout, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
