"""The bibliography: every key once, and every one that a page cites."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from .files import ROOT

ENTRY = re.compile(r"^@\w+\{([\w-]+),", re.MULTILINE)
CITED = re.compile(r"\{cite\}`([^`]+)`")
PREFIX = re.compile(r":keyprefix: (\w+-)")


def entries(text: str) -> list[str]:
    """The keys of a .bib file, in its order."""
    return ENTRY.findall(text)


def faults(page: str, known: set[str]) -> list[str]:
    """What a page cites that is in no entry, or that its own list of references would not show."""
    prefixes = PREFIX.findall(page)
    cited = [key.strip() for group in CITED.findall(page) for key in group.split(",")]
    return [
        key
        for key in cited
        if not any(key.startswith(one) and key.removeprefix(one) in known for one in prefixes)
    ]


BIBLIOGRAPHY = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("book/*.md"), *ROOT.glob("exercises/*/exercise.md")])


def test_every_key_is_there_once() -> None:
    assert [key for key, count in Counter(entries(BIBLIOGRAPHY)).items() if count > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_what_a_page_cites_is_there(page: object) -> None:
    assert faults(page.read_text(encoding="utf-8"), set(entries(BIBLIOGRAPHY))) == []  # type: ignore[attr-defined]


def test_what_is_missing_is_found() -> None:
    page = "{cite}`c1-known`, {cite}`c1-other, known`\n:keyprefix: c1-\n"
    assert faults(page, {"known"}) == ["c1-other", "known"]
    assert entries("@misc{a,\n}\n@misc{a,\n}\n") == ["a", "a"]
