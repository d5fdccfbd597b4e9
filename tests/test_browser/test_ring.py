"""A ring's schedule as a reader meets it: stepped through, pointed at, read aloud."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.plot.live import answer

from .harness import Harness, harness
from .visit import AXE, GRAVE

STATES = (
    {},
    {"mistake": "none", "slots": 4, "messages": 5},
    {"mistake": "RDMA: tail in another queue pair", "slots": 3},
)


def mount(shown: Harness, data: dict[str, Any]) -> None:
    shown.mount(data, file="ring.js", name="mountRing")


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
@pytest.mark.parametrize("state", STATES)
def test_each_step_shows_its_memory(browser: Any, theme: str, width: int, state: Any) -> None:
    data = answer("ring", state)
    with harness(browser, theme=theme, width=width) as shown:
        mount(shown, data)
        page = shown.page
        assert page.locator(".sentence").inner_text() == data["sentence"]
        last = len(data["steps"]) - 1
        for at in (last, 0, last // 2):
            page.get_by_label("Step", exact=True).fill(str(at))
            step = data["steps"][at]
            assert page.locator(".words").inner_text().endswith(step["what"])
            boxes = page.locator("[data-at]")
            told = {int(box.get_attribute("data-at")): box.inner_text() for box in boxes.all()}
            assert told == {
                place: "–" if value is None else str(value)
                for place, value in enumerate(step["values"])
            }
            assert page.locator(".touched").count() == (step["at"] is not None)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_buttons_and_list_go_from_step_to_step(browser: Any) -> None:
    data = answer("ring", {})
    last = len(data["steps"]) - 1
    with harness(browser) as shown:
        mount(shown, data)
        page = shown.page
        assert page.locator("output").inner_text() == f"step {last} of {last}"
        assert page.get_by_role("button", name="One step on").is_disabled()
        page.get_by_role("button", name="One step back").click()
        assert page.locator("output").inner_text() == f"step {last - 1} of {last}"
        page.locator(".list li").nth(1).click()
        assert page.locator("output").inner_text() == f"step 2 of {last}"
        assert (
            page.locator(".list li[aria-current]").inner_text().endswith(data["steps"][2]["what"])
        )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_nothing_bars_a_reader(browser: Any, theme: str, state: Any) -> None:
    with harness(browser, theme=theme) as shown:
        mount(shown, answer("ring", state))
        shown.page.add_script_tag(path=str(AXE))
        found = shown.page.evaluate("() => axe.run(document.getElementById('view'))")
        assert [one["id"] for one in found["violations"] if one["impact"] in GRAVE] == []
