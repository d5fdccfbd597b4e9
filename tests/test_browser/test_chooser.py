"""The chooser as a reader meets it: bars to one scale, a table that scrolls by itself, what breaks a rule."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.plot.live import answer

from .harness import harness
from .visit import AXE, GRAVE

RANKED = answer("chooser", {"device": "H200", "gpus": 256, "pipeline": 4, "microbatches": 10})


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
def test_bars_are_to_one_scale_and_the_table_is_whole(browser: Any, theme: str, width: int) -> None:
    steps = [sum(part["value"] for part in bar["parts"]) for bar in RANKED["bars"]]
    with harness(browser, theme=theme, width=width) as shown:
        shown.mount(RANKED, file="ledger.js", name="mountLedger")
        page = shown.page
        sizes = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
        assert len(sizes) == len(steps)
        for size, step in zip(sizes, steps, strict=True):
            assert size / max(sizes) == pytest.approx(step / max(steps), abs=0.01)
        cells = [
            [cell.strip() for cell in row.locator("th, td").all_inner_texts()]
            for row in page.locator(".ranks tr").all()
        ]
        assert cells == [RANKED["table"]["head"], *RANKED["table"]["rows"]]
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_what_breaks_a_rule_stands_below_and_changes_with_the_data(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(RANKED, file="ledger.js", name="mountLedger")
        page = shown.page
        assert RANKED["facts"]
        for fact in RANKED["facts"]:
            row = page.locator(".facts tr", has_text=fact["note"])
            assert row.inner_text().startswith(fact["label"])
        nothing = answer("chooser", {"memory": 1, "gpus": 256, "pipeline": 4, "microbatches": 8})
        page.evaluate("(data) => view.update(data)", nothing)
        assert page.locator(".sentence").inner_text() == nothing["sentence"]
        assert page.locator(".bar").count() == 0
        assert page.locator(".facts tr").count() == len(nothing["facts"])


def test_patterns_tell_the_parts_without_colour(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(RANKED, file="ledger.js", name="mountLedger")
        patterns = shown.page.evaluate("""() => Object.fromEntries(
            [...document.querySelector('.dualpipe-view').shadowRoot.querySelectorAll('.part')]
            .map((part) => [part.dataset.kind, getComputedStyle(part).backgroundImage]))""")
        kinds = {part["kind"] for bar in RANKED["bars"] for part in bar["parts"] if part["value"]}
        assert set(patterns) == kinds
        shapes = {
            pattern.split("rgb")[0] + str(pattern.count("gradient"))
            for pattern in patterns.values()
        }
        assert len(shapes) == len(kinds)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_a_reader(browser: Any, theme: str) -> None:
    with harness(browser, theme=theme) as shown:
        shown.mount(RANKED, file="ledger.js", name="mountLedger")
        shown.page.add_script_tag(path=str(AXE))
        found = shown.page.evaluate("() => axe.run(document.getElementById('view'))")
        assert [one["id"] for one in found["violations"] if one["impact"] in GRAVE] == []
