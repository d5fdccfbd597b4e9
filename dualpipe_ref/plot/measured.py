"""Tables of a page from the files in book/results, with what they were measured on. Numbers are never typed by hand."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import HTML

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"
Line = Sequence[object]


class Results(dict[str, dict[str, Any]]):
    """The rows of one bench by their names without the bench's; empty where this installation has no book beside it."""

    @property
    def source(self) -> str:
        """What the rows were measured on, in words.

        >>> row = {"tier": "CPU", "versions": {"torch": "2.13.0"}, "date": "2026-11-25", "commit": "a"}
        >>> Results(x=row).source
        'tier: CPU; torch 2.13.0; 2026-11-25'
        """
        one = next(iter(self.values()))
        torch = one["versions"].get("torch")
        return f"tier: {one['tier']}; " + (f"torch {torch}; " if torch else "") + str(one["date"])

    def value(self, name: str) -> float:
        """The value of a row. Raises KeyError."""
        found: float = self[name]["value"]
        return found


def results(name: str, folder: Path = RESULTS) -> Results:
    """What `dualpipe-ref bench NAME` has left.

    >>> found = results("schedule")
    >>> not found or found.value("ratio_to_torch") > 1
    True
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return Results()
    rows = json.loads(path.read_text(encoding="utf-8"))
    return Results((row["bench"].partition(".")[2], row) for row in rows)


def measured(
    name: str,
    head: Sequence[str],
    lines: Callable[[Results], Iterable[Line]],
    caption: str = "",
    *,
    command: str | None = None,
    folder: Path = RESULTS,
) -> HTML:
    """A table of `lines` made from the results of a bench, below its caption and where it comes from.

    Floats are written with four digits, from a thousand on as whole numbers. Without the file it says which command makes it (default
    `dualpipe-ref bench NAME`).

    >>> print(measured("none", ["what"], lambda found: [["x"]], "Steps & times.").data)
    <p>Steps &amp; times. Not here: <code>dualpipe-ref bench none</code> measures them.</p>
    """
    from IPython.display import HTML

    found = results(name, folder)
    if not found:
        words = html.escape(command or f"dualpipe-ref bench {name}")
        told = f"{html.escape(caption)} Not here: <code>{words}</code> measures them."
        return HTML(f"<p>{told.strip()}</p>")
    first = f"{caption} ({found.source})".strip()
    body = "".join(_row("td", line) for line in lines(found))
    return HTML(
        f'<p>{html.escape(first)}</p><table class="table dualpipe-measured"><thead>{_row("th", head)}</thead>'
        f"<tbody>{body}</tbody></table>"
    )


def every_row(found: Results) -> list[Line]:
    """All rows as they are: name, value, unit."""
    return [(name, row["value"], row["unit"]) for name, row in found.items()]


def _row(tag: str, cells: Line) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(_text(one))}</{tag}>" for one in cells) + "</tr>"


def _text(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
