"""Open a page of the site and note everything that should not happen on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.test_project.files import ROOT

AXE = ROOT / "book" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("moderate", "serious", "critical")
WEIGHT_LIMIT = 4_000_000  # bytes, before the reader starts Python


class Site(NamedTuple):
    """A served folder, and the browser that visits it."""

    browser: Any
    address: str
    folder: Path

    @contextmanager
    def visit(
        self, name: str, *, theme: str = "light", width: int = 1280, allowed: tuple[str, ...] = ()
    ) -> Iterator[Visit]:
        """The page `name` in a fresh window. At the end nothing may have gone wrong but what is `allowed`."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme
        )
        context.set_default_timeout(60_000)
        context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
        try:
            visit = Visit(context.new_page(), self.address)
            visit.page.goto(f"{self.address}{name}.html", wait_until="load")
            yield visit
            unexpected = [
                trouble
                for trouble in visit.troubles
                if not any(word in trouble for word in allowed)
            ]
            assert not unexpected, unexpected
        finally:
            context.close()


class Visit:
    """An open page; `troubles` are requests that leave the site, errors, and files that are missing."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.troubles: list[str] = []
        self.weight: dict[str, int] = {}
        page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        page.on("console", self._heard)
        page.on("response", self._came)
        page.route("**/*", self._gate)

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text}")

    def _gate(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.troubles.append(f"leaves the site: {url}")
            route.abort()

    def _came(self, response: Any) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url}")
        elif response.url.startswith(self.address):
            self.weight[response.url] = int(response.headers.get("content-length", 0))

    def settle(self) -> None:
        """Until math is set and live figures stand."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.dualpipe-live')].every((one) => one.dataset.ready)"
        )

    def theme(self) -> str:
        """What is shown: light or dark."""
        shown: str = self.page.evaluate("() => document.documentElement.dataset.theme")
        return shown

    def change_theme(self, theme: str) -> None:
        """As the button of the page does; until colours stand."""
        self.page.evaluate(
            """(theme) => { Object.assign(document.documentElement.dataset, {theme, mode: theme}); }""",
            theme,
        )
        self._until_still()

    def widen(self, width: int) -> None:
        """The window; until the page has followed."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self._until_still()

    def _until_still(self) -> None:
        """Two frames, then the end of whatever these have set in motion."""
        self.page.evaluate(
            """async () => {
                for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
                const moving = document.getAnimations().filter((one) => one instanceof CSSTransition);
                await Promise.allSettled(moving.map((one) => one.finished));
            }"""
        )

    def axe(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> list[str]:
        """Violations of accessibility rules that axe-core calls moderate or worse: of all rules, or of `only` some."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.add_script_tag(path=str(AXE))
        options: dict[str, Any] = {"rules": {name: {"enabled": False} for name in without}}
        if only:
            options = {"runOnly": list(only)}
        found = self.page.evaluate("(options) => axe.run(options)", options)
        return [
            f"{one['id']} ({one['impact']}): {node['html'][:160]}"
            for one in found["violations"]
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return max(0, wider)

    def without_alternative(self) -> list[str]:
        """Pictures that say nothing to a reader who does not see them."""
        nameless: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll('img, [role=img], svg')]
                .filter((one) => !one.closest('[aria-hidden=true], [aria-label], button, a, summary'))
                .filter((one) => one.tagName === 'IMG' ? !one.alt : !one.getAttribute('aria-label')
                    && !one.getAttribute('aria-labelledby') && !one.querySelector(':scope > title'))
                .map((one) => one.outerHTML.slice(0, 160))"""
        )
        return nameless
