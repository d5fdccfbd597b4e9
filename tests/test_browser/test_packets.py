"""Packets as a reader meets them: played, stepped, one token followed, read aloud."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.plot.live import answer

from .harness import Harness, harness
from .visit import AXE, GRAVE

OUT = answer("packets", {"tokens": 2})
BACK = answer("packets", {"tokens": 2, "way": "combine"})


def mount(shown: Harness, data: dict[str, Any] = OUT) -> None:
    shown.mount(data, file="packets.js", name="mountPackets")


def at(shown: Harness, tick: int) -> str:
    """Go to a tick; what is said of it."""
    shown.page.get_by_label("Tick", exact=True).fill(str(tick))
    said: str = shown.page.locator(".words").inner_text()
    return said


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
def test_what_each_tick_says_is_what_happens_in_it(browser: Any, theme: str, width: int) -> None:
    for data in (OUT, BACK):
        with harness(browser, theme=theme, width=width) as shown:
            mount(shown, data)
            assert shown.page.locator(".sentence").inner_text() == data["sentence"]
            for tick in (0, data["ticks"] // 2, data["ticks"]):
                said = at(shown, tick)
                for kind, name in ((0, "RDMA"), (1, "NVLink")):
                    now = sum(one[0] == tick and one[1] == kind for one in data["packets"])
                    past = sum(one[0] <= tick and one[1] == kind for one in data["packets"])
                    assert f"{now} over {name}" in said
                    assert f"{past} {'messages ' if kind == 0 else ''}over {name}." in said or (
                        f"{past} messages over {name}," in said
                    )
                flying = shown.page.locator(".packet.rdma").count()
                assert flying == 1 + sum(one[:2] == [tick, 0] for one in data["packets"])
            assert shown.page.evaluate("() => document.documentElement.scrollWidth") == width


def test_at_the_end_every_gpu_has_all_its_rows(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        at(shown, OUT["ticks"])
        texts = shown.page.locator("svg").first.locator("text").all_text_contents()
        assert [text for text in texts if "/" in text] == [
            f"{rows}/{rows}" for rows in OUT["awaited"]
        ]


def test_one_token_is_followed(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown, BACK)
        at(shown, BACK["ticks"])
        shown.page.get_by_label("Follow").select_option("3.1")
        said = shown.page.locator(".words").inner_text()
        assert said.startswith("Token 1 of GPU 3, for GPUs ")
        assert said.endswith("home.")
        ours = [one for one in BACK["packets"] if one[4:6] == [3, 1] and one[1] < 2]
        assert shown.page.locator("path.way").count() == len(ours)
        assert shown.page.locator(".gpu.wanted").count() == len(BACK["wanted"][3][1])


def test_it_plays_to_the_end_and_stops(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        at(shown, OUT["ticks"] - 2)
        shown.page.get_by_role("button", name="Play").click()
        shown.page.get_by_role("button", name="Play").wait_for()
        assert f"tick {OUT['ticks']} of" in shown.page.locator("output").inner_text()
        shown.page.get_by_role("button", name="One tick back").click()
        assert f"tick {OUT['ticks'] - 1} of" in shown.page.locator("output").inner_text()


def test_another_way_begins_where_most_happens(browser: Any) -> None:
    def first_of_most(data: dict[str, Any]) -> int:
        ticks = [one[0] for one in data["packets"] if one[1] == 0]
        return max(sorted(set(ticks)), key=ticks.count)

    with harness(browser) as shown:
        mount(shown)
        output = shown.page.locator("output")
        assert output.inner_text() == f"tick {first_of_most(OUT)} of {OUT['ticks']}"
        at(shown, 3)
        shown.page.evaluate("(data) => view.update(data)", OUT)
        assert output.inner_text().startswith("tick 3 of")
        shown.page.evaluate("(data) => view.update(data)", BACK)
        assert output.inner_text() == f"tick {first_of_most(BACK)} of {BACK['ticks']}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_a_reader(browser: Any, theme: str) -> None:
    for data in (OUT, BACK):
        with harness(browser, theme=theme) as shown:
            mount(shown, data)
            shown.page.add_script_tag(path=str(AXE))
            found = shown.page.evaluate("() => axe.run(document.getElementById('view'))")
            assert [one["id"] for one in found["violations"] if one["impact"] in GRAVE] == []
