"""The Sphinx extension that makes pages live: their scripts, the place of an answer, repairs of the theme."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from live_files import NotInstalledError, write_live
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from streams import install

from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.schedule.errors import InputError

MATHJAX = re.compile(r"\s*<script[^>]*(?:mathjax/|>window\.MathJax = )[^<]*</script>")
# Faults of the theme and of what Jupyter Book adds to it, each with its repair.
REPAIRS = tuple(
    (re.compile(fault, re.DOTALL), repair)
    for fault, repair in (
        # Icons come from fonts, which the page loads anyway; as a script they weigh 1.5 MB once more.
        (r'\s*<script src="[^"]*fontawesome[^"]*/js/all\.min\.js[^"]*"></script>', ""),
        # sphinx-thebe writes its script twice, which is a SyntaxError; no page uses it.
        (r"\s*<script>const THEBE_JS_URL = [^<]*</script>", ""),
        (r'\s*<script async="async" src="[^"]*sphinx-thebe\.js[^"]*"></script>', ""),
        # What lies in no landmark is hard to find for those who hear the page.
        (
            r'<div class="bd-sidebar-primary bd-sidebar">',
            '<div class="bd-sidebar-primary bd-sidebar" role="complementary" aria-label="Book">',
        ),
        # Names that are missing, or that are not what the button shows.
        (
            r'<summary>(?=\s*<span class="toctree-toggle")',
            '<summary aria-label="Show or hide the sections">',
        ),
        (r'<summary aria-label="Toggle hidden content">', "<summary>"),
        (
            r'(<button class="[^"]*search-button-field[^>]*) aria-label="Search"',
            r'\1 aria-label="Search Ctrl+K"',
        ),
        # Its children are no list items.
        (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    )
)


class Answer(SphinxDirective):
    """The place where a reader writes an answer: a skeleton to read, an editor where scripts run."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            exercise = find_exercise(name)
        except InputError as error:
            raise self.error(str(error)) from None
        self.env.note_dependency(str(exercise.solution))
        skeleton = html.escape(skeleton_of(exercise.solution))
        text = (
            f'<div class="dualpipe-answer" data-exercise="{name}">'
            f'<pre class="dualpipe-skeleton" tabindex="0" aria-label="The skeleton to start from">'
            f"{skeleton}</pre></div>"
        )
        return [nodes.raw("", text, format="html")]


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: Any, doctree: Any) -> None:
    """Each page loads one small module, which loads the others when the page has something live."""
    app.add_js_file("../live/live.js", type="module")
    app.add_css_file("../live/live.css")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Put the live files beside the pages, and mend the pages."""
    if error or app.builder.format != "html":
        return
    try:
        write_live(Path(app.outdir) / "live")
    except NotInstalledError as reason:
        raise ExtensionError(str(reason)) from None
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (mended := mend(text)) != text:
            page.write_text(mended, encoding="utf-8")


def mend(text: str) -> str:
    """A page of the theme with its known faults repaired.

    >>> mend('<div class="bd-sidebar-primary bd-sidebar"><summary><span class="toctree-toggle">')
    '<div class="bd-sidebar-primary bd-sidebar" role="complementary" aria-label="Book"><summary aria-label="Show or hide the sections"><span class="toctree-toggle">'
    """
    for fault, repair in REPAIRS:
        text = fault.sub(repair, text)
    if 'class="math' not in text:  # MathJax weighs 1.2 MB, and stands on every page with a figure
        text = MATHJAX.sub("", text)
    return text


def setup(app: Sphinx) -> dict[str, Any]:
    """Registered in _config.yml."""
    os.environ["DUALPIPE_REF_PAGE"] = "1"  # cells give what a page shows, not widgets
    install()
    app.add_directive("answer", Answer)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
