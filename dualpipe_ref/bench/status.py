"""What the status page shows: how each target stands, which tiers each page has, and on what the site was built."""

from __future__ import annotations

import html
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.bench.targets import NO_TARGET, Standing, standings, unmeasured
from dualpipe_ref.plot.measured import RESULTS, results
from dualpipe_ref.published.page import framed, words

TIERS = ("browser", "CPU", "one GPU", "cluster")
PACKAGES = ("dualpipe_ref", "torch", "numpy", "matplotlib", "jupyter-book", "myst-nb")
# What a cell reads from book/results.
_READS = re.compile(r"\b(?:measured|results)\(\s*\"([\w-]+)\"")
_NAMES = re.compile(r"\b(browser|cpu|one gpu|cluster) tier\b", re.IGNORECASE)


class PageTiers(NamedTuple):
    """A page, the tiers that its text names or its tables have, and the results files that it reads."""

    page: str
    tiers: tuple[str, ...]
    reads: tuple[str, ...]


def targets_table(folder: Path = RESULTS) -> str:
    """Every target with its worst row, and every results file that has none."""
    head = ("target", "limit", "last measured", "tier, file, date")
    rows = [list(_cells(one)) for one in standings(folder)]
    rows += [
        [
            words(one.name),
            "to be reported<br><strong>not measured</strong>",
            words(one.why),
            one.tier,
        ]
        for one in unmeasured(folder)
    ]
    rows += [
        list(_without(name, why, folder))
        for name, why in NO_TARGET.items()
        if results(name, folder)
    ]
    return framed(head, rows, "Targets and how they stand")


def _cells(one: Standing) -> Iterator[str]:
    target = one.target
    yield html.escape(target.name)
    yield f"{_limit(one.limit)}<br><strong>{one.verdict}</strong>{_how_many(one)}"
    yield _value(one) + _remark(one)
    yield html.escape(target.tier) + (_origin(target.file, one.worst[1]) if one.worst else "")


def _limit(words: str) -> str:
    return html.escape(
        words.replace("<= ", "≤\N{NO-BREAK SPACE}").replace(">= ", "≥\N{NO-BREAK SPACE}")
    )


def _how_many(one: Standing) -> str:
    return f" by {len(one.missed)} of {len(one.rows)}" if one.missed and len(one.rows) > 1 else ""


def _value(one: Standing) -> str:
    if one.worst is None:
        return words(one.target.unmeasured)
    name, row = one.worst
    told = f"{row['value']:.4g}"
    if len(one.rows) == 1:
        return told
    return f"{told}<br><small>the worst of {len(one.rows)}: {_name(name)}</small>"


def _name(row: str) -> str:
    """A row's name without its bench; it may break where it has an underscore."""
    return html.escape(row.partition(".")[2]).replace("_", "_<wbr>")


def _remark(one: Standing) -> str:
    """Which rows miss it, and why."""
    lines = [
        f"<br><small>{_name(name)} {row['value']:.4g}: {html.escape(row.get('why', ''))}</small>"
        for name, row in one.missed.items()
    ]
    return "".join(lines)


def _origin(name: str, row: dict[str, Any]) -> str:
    python = row["versions"]["python"]
    torch = row["versions"].get("torch")
    on = f"Python {python}" + (f", torch {torch}" if torch else "")
    made = html.escape(f"{row['date']}, {on}, {row['commit']}")
    return f"<br><small>book/<wbr>results/<wbr>{html.escape(name)}.json<br>{made}</small>"


def _without(name: str, why: str, folder: Path) -> Iterator[str]:
    found = results(name, folder)
    yield f"{name}: {len(found)} rows"
    yield "none"
    yield html.escape(why)
    row = next(iter(found.values()), None)
    yield "" if row is None else html.escape(row["tier"]) + _origin(name, row)


def tiers_of(page: Path, folder: Path = RESULTS) -> PageTiers:
    """What a page's text says of its tiers.

    >>> tiers_of(RESULTS.parent / "ch15_training.md").tiers if RESULTS.is_dir() else ("browser", "CPU")
    ('browser', 'CPU')
    """
    text = page.read_text(encoding="utf-8")
    reads = tuple(sorted(set(_READS.findall(text))))
    named = {match.lower() for match in _NAMES.findall(text)}
    for name in reads:
        named |= {row["tier"].partition(",")[0].lower() for row in results(name, folder).values()}
    tiers = tuple(tier for tier in TIERS if tier.lower() in named)
    return PageTiers(page.stem, tiers, reads)


def pages_table(book: Path = RESULTS.parent) -> str:
    """Tiers of every page of the book."""
    rows = (
        (
            f'<a href="{one.page}.html">{one.page}</a>',
            ", ".join(one.tiers) or "no measured or computed number",
            ", ".join(f"{name}.json" for name in one.reads),
        )
        for one in map(tiers_of, sorted(book.glob("*.md")))
    )
    return framed(("page", "tiers of its numbers", "reads from book/results"), rows, "Tiers")


def built_on() -> dict[str, str]:
    """Versions of what executed the pages.

    >>> list(built_on())[:2]
    ['python', 'dualpipe_ref']
    """
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
