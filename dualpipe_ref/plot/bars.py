"""What the live views of bars share: their colours, and themselves as text. Standard library only."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from dualpipe_ref.plot.palette import Palette


def bar_colours(
    colours: Palette, fills: Mapping[str, str], lines: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Fill, colour of the pattern, and colour of words on it, by kind of part; beside the theme's own.

    A pattern has the colour of the words unless `lines` names another.
    """
    other = lines or {}
    plain = ("ink", "muted", "paper", "idle", "border", "highlight")
    return {
        **{name: getattr(colours, name) for name in plain},
        "parts": {
            kind: {
                "fill": fill,
                "on": colours.ink_on(fill),
                "line": other.get(kind, colours.ink_on(fill)),
            }
            for kind, fill in fills.items()
        },
    }


def as_html(data: Mapping[str, Any]) -> str:
    """The same as text and a table, for a page that runs no script."""
    bars = "".join(
        f"<li>{html.escape(bar['label'])}: "
        + ", ".join(html.escape(f"{part['label']} {part['text']}") for part in bar["parts"])
        + "</li>"
        for bar in data["bars"]
    )
    facts = facts_as_html(data["facts"])
    return f"<p>{html.escape(data['sentence'])}</p><ul>{bars}</ul>{facts}"


def facts_as_html(facts: Sequence[Mapping[str, str]]) -> str:
    """Label, value and note of each fact, as a table."""
    rows = "".join(
        "<tr>"
        + f'<th scope="row">{html.escape(fact["label"])}</th>'
        + "".join(f"<td>{html.escape(fact[name])}</td>" for name in ("value", "note"))
        + "</tr>"
        for fact in facts
    )
    return f"<table>{rows}</table>"


def table_as_html(data: Mapping[str, Any]) -> str:
    """The sentence, the table of many columns, and the facts, where a figure shows the bars."""
    head = "".join(f"<th>{html.escape(one)}</th>" for one in data["table"]["head"])
    rows = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(one)}</td>" for one in rest)
        + "</tr>"
        for first, *rest in data["table"]["rows"]
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<p>{html.escape(data['sentence'])}</p>{table}{facts_as_html(data['facts'])}"
