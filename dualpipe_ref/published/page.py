"""The register as a table of a page: HTML, made without anything but Python."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from dualpipe_ref.published.claim import Claim, NotChecked, Shown

TITLES = {
    "planner": "the planner held against the world",
    "proof_bubbles": "where the bubbles come from",
    "proof_search": "how far from the best",
    "status": "status",
    "log": "findings",
}
HEAD = ("claimed", "holds where", "a case", "instead")


def table(claims: Iterable[Claim], label: str) -> str:
    """Name, source and claim; the domain; a counterexample, or a case in which it holds; what to use instead.

    >>> from dualpipe_ref.published import find_claim
    >>> text = table([find_claim("2x parameters")], "Copies")
    >>> text.count("<tr>"), "published 2, true 1 x" in text
    (2, True)
    """
    return framed(HEAD, map(_cells, claims), label)


def open_table(entries: Iterable[NotChecked], label: str) -> str:
    """What nobody here could check, and why."""
    rows = (
        (_named(one.name, one.source, one.says), words(one.why), _links(one.pages))
        for one in entries
    )
    return framed(("claimed", "not checked, because", "spoken of in"), rows, label)


def _cells(claim: Claim) -> Iterator[str]:
    yield _named(claim.name, claim.source, claim.says)
    yield words(claim.domain)
    against = claim.counterexample()
    shown = against or claim.agreement()
    yield f"<strong>{claim.status}</strong><br>{_case(shown)}<br><small>{html.escape(claim.tier)}</small>"
    instead = f"{words(claim.corrected)}<br>" if claim.corrected else ""
    yield f"{instead}<small>{_links(claim.pages)}</small>"


def _case(shown: Shown | None) -> str:
    return "" if shown is None else html.escape(str(shown))


def _named(name: str, source: str, says: str) -> str:
    first, second, third = map(words, (name, says, source))
    return f"<strong>{first}</strong><br>{second}<br><small>{third}</small>"


def _links(pages: Iterable[str]) -> str:
    return ", ".join(f'<a href="{page}.html">{_title(page)}</a>' for page in pages)


def _title(page: str) -> str:
    """How a page is called in a link.

    >>> _title("ch03_gpipe_1f1b"), _title("proof_bubbles"), _title("log")
    ('chapter 3', 'where the bubbles come from', 'findings')
    """
    if page.startswith("ch"):
        return f"chapter {int(page[2:4])}"
    return TITLES[page]


def words(text: str) -> str:
    """Text as HTML; what stands between backquotes is code.

    >>> words("a < b in `f`")
    'a &lt; b in <code>f</code>'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def framed(head: Iterable[str], rows: Iterable[Iterable[str]], label: str) -> str:
    """A table of cells that are HTML, which scrolls in itself where the page is narrow.

    >>> framed(["a"], [["1"], ["2"]], "x").count("<td>")
    2
    """
    first = "".join(f"<th>{words}</th>" for words in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f'<table class="table dualpipe-measured"><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table></div>'
    )
