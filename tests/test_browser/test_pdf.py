"""The text as one PDF: every page of the book, in its order, with links that lead to the site."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.test_project.files import ROOT

TOOL = ROOT / "book" / "_tools" / "pdf.py"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def printed() -> Any:
    from pypdf import PdfReader

    subprocess.run([sys.executable, str(TOOL)], check=True, capture_output=True, timeout=900)
    return PdfReader(ROOT / "_build" / "html" / "dualpipe_understood.pdf")


def test_the_outline_has_every_page_in_order(printed: Any) -> None:
    titles = [item["/Title"] for item in printed.outline]
    assert titles[:3] == [
        "DualPipe, understood",
        "Chapter 1 · Waiting GPUs",
        "Exercise 1 · The arithmetic of waiting",
    ]
    assert titles[-1] == "Findings and negative results"
    assert len(titles) >= 11


def test_the_text_is_text(printed: Any) -> None:
    assert len(printed.pages) > 40
    words = " ".join(page.extract_text() for page in printed.pages)
    for passage in ("What the press got wrong", "makespan", "dualpipe-ref grade exercises/ch03"):
        assert passage in words
    assert "Run Edit Reset" not in words  # what only works on a screen is not printed


def test_no_link_points_into_this_machine(printed: Any) -> None:
    links = [
        str(annotation.get_object()["/A"]["/URI"])
        for page in printed.pages
        for annotation in page.get("/Annots", ())
        if "/URI" in annotation.get_object().get("/A", {})
    ]
    assert any(link.startswith(CONFIG["html"]["baseurl"]) for link in links)
    assert not [link for link in links if link.startswith("file:")]
