"""A page with one view on it, served from memory: whatever else it asks for is refused and noted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from dualpipe_ref.plot.bundle import bundle

ADDRESS = "http://viewer.test/"
COLOURS = {"light": ("#FFFFFF", "#1A1A1A"), "dark": ("#14181E", "#E8E8E8")}

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><title>view</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<style>body {{ margin: 16px; font-family: sans-serif; background: {paper}; color: {ink}; }}</style>
</head><body><div id="view"></div><p>below</p></body></html>"""

MOUNT = """async ([file, name, data]) => {
    const views = await import('/' + file);
    const started = performance.now();
    window.events = [];
    window.view = views[name](document.getElementById('view'), data,
        { onSelect: (op) => window.events.push(op), onOrder: (order) => window.events.push(order) });
    return performance.now() - started;
}"""


class Harness:
    """The page, and what went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: self._heard(message))
        page.route("**/*", self._serve)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def _serve(self, route: Any) -> None:
        name = route.request.url.removeprefix(ADDRESS)
        if name in ("light", "dark"):
            paper, ink = COLOURS[name]
            route.fulfill(
                body=PAGE.format(theme=name, paper=paper, ink=ink), content_type="text/html"
            )
        elif name.startswith("bundled/"):
            route.fulfill(body=bundle(name.partition("/")[2]), content_type="text/javascript")
        elif name.endswith(".js"):
            file = resources.files("dualpipe_ref.plot").joinpath("web", name)
            route.fulfill(body=file.read_text(encoding="utf-8"), content_type="text/javascript")
        else:
            self.troubles.append(f"asked for {route.request.url}")
            route.abort()

    def mount(self, data: Any, *, file: str = "viewer.js", name: str = "mountViewer") -> float:
        """Show `data`; returns the milliseconds that it took."""
        json.dumps(data, allow_nan=False)
        taken: float = self.page.evaluate(MOUNT, [file, name, data])
        self.settle()
        return taken

    def settle(self) -> None:
        """Until what was asked for has been drawn."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
        )


@contextmanager
def harness(
    browser: Any, *, theme: str = "light", width: int = 900, **context: Any
) -> Iterator[Harness]:
    """A fresh page of this width; at its end nothing may have gone wrong on it."""
    opened = browser.new_context(viewport={"width": width, "height": 800}, **context)
    try:
        shown = Harness(opened.new_page())
        shown.page.goto(ADDRESS + theme)
        yield shown
        assert shown.troubles == []
    finally:
        opened.close()
