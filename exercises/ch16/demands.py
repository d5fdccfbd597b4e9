"""What a memo must say, line by line, apart from its numbers being right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from .case import GIB
from .runs import Judged
from .truth import Row
from .words import DOMAINS, says


def missing(judged: Judged, memo: str) -> str | None:
    """The first thing that a memo on this run does not say."""
    lines = memo.splitlines()
    return (
        _recommendation(judged, lines)
        or next(filter(None, (_candidate(row, lines) for row in judged.rows)), None)
        or _margin(judged, lines)
        or _flips(judged, lines)
    )


def _recommendation(judged: Judged, lines: list[str]) -> str | None:
    wanted = f"Recommendation: {judged.decision.choice or 'none'}"
    first = lines[0] if lines else ""
    if not re.fullmatch(re.escape(wanted) + r"(\W.*)?", first):
        return f"the first line is {first!r:.80} and not '{wanted}'"
    now = judged.decision
    if now.missing is not None and not any(
        f"{now.nearest}" in line and says(line, now.missing, "GiB") for line in lines
    ):
        lacks = f"lacks {float(now.missing):.4g} GiB"
        return (
            f"no line says that nothing fits, that {now.nearest} comes nearest, and that it {lacks}"
        )
    return None


def _the_line(start: str, lines: list[str]) -> str:
    found = [line for line in lines if line.startswith(f"{start}:")]
    return found[0] if len(found) == 1 else ""


def _candidate(row: Row, lines: list[str]) -> str | None:
    line = _the_line(row.name, lines)
    if not line:
        return f"there is not one line that begins with '{row.name}:'"
    for what, is_said in _demands(row, line):
        if not is_said:
            return f"the line of {row.name} does not say {what}: {line!r:.150}"
    return None


def _demands(row: Row, line: str) -> Iterator[tuple[str, bool]]:
    if row.hours is None:
        yield "that it is outside its domain", "outside" in line
    else:
        yield "its GPU hours", says(line, row.hours, "GPU hours")
        yield f"its tier, {row.tier}", re.search(rf"\b{row.tier}\b", line) is not None
    if row.tier != "simulated":
        yield f"the domain, {DOMAINS[row.name]}", DOMAINS[row.name] in line
    if row.bytes is not None:
        yield "its GiB", says(line, Fraction(row.bytes, GIB), "GiB")
        yield "whether it fits", ("does not fit" in line) is not row.fits and "fit" in line


def _margin(judged: Judged, lines: list[str]) -> str | None:
    line, now = _the_line("Margin", lines), judged.decision
    if now.runner_up is None or now.margin is None:
        is_said = re.match(r"Margin: none\b", line) is not None
        return None if is_said else "there is no line 'Margin: none', though there is no runner-up"
    if not re.search(rf"\b{now.runner_up}\b", line):
        return f"the line 'Margin:' does not name the runner-up, {now.runner_up}"
    if not says(line, 100 * now.margin, "%"):
        return f"the line 'Margin:' does not say by how many % {now.runner_up} takes longer"
    return None


def _flips(judged: Judged, lines: list[str]) -> str | None:
    line, at = _the_line("Flips", lines), judged.flip
    told = [(at.pair, "ms"), (at.reserved, "SMs"), (at.memory, "GiB")]
    wanted = [(Fraction(value), unit) for value, unit in told if value is not None]
    if not wanted and not re.match(r"Flips: none\b", line):
        return "there is no line 'Flips: none', though none of the three numbers flips the choice"
    for value, unit in wanted:
        if not says(line, value, unit):
            return f"the line 'Flips:' does not say at how many {unit} the choice flips"
    return None
