"""The bars of the waiting and of the volume calculator as a reader meets them."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.plot.live import answer

from .harness import harness
from .visit import AXE, GRAVE

LEDGER = answer("waiting", {})
VOLUMES = answer("volume", {})
SMS = answer("sms", {})
# Of the part that is drawn on, in pixels; colour and pattern of each line.
INNER = """() => { const inner = document.querySelector('.dualpipe-view').shadowRoot.querySelector('.curves svg svg');
    return [Number(inner.getAttribute('width')), Number(inner.getAttribute('height'))]; }"""
STROKES = "(lines) => lines.map((line) => getComputedStyle(line).stroke + line.getAttribute('stroke-dasharray'))"


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
def test_bars_are_named_and_to_scale(browser: Any, theme: str, width: int) -> None:
    with harness(browser, theme=theme, width=width) as shown:
        shown.mount(LEDGER, file="ledger.js", name="mountLedger")
        page = shown.page
        for bar, data in zip(page.locator(".bar").all(), LEDGER["bars"], strict=True):
            parts = [part for part in data["parts"] if part["value"] > 0]
            whole = bar.bounding_box()["width"] / sum(part["value"] for part in parts)
            for part, wanted in zip(bar.locator(".part").all(), parts, strict=True):
                assert part.bounding_box()["width"] / whole == pytest.approx(
                    wanted["value"], abs=0.01
                )
            label = bar.get_attribute("aria-label")
            assert all(f"{part['label']} {part['text']}" in label for part in parts)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_every_part_is_named_in_it_or_below(browser: Any) -> None:
    for width in (900, 320):
        with harness(browser, width=width) as shown:
            shown.mount(LEDGER, file="ledger.js", name="mountLedger")
            for figure, data in zip(
                shown.page.locator("figure").all(), LEDGER["bars"], strict=True
            ):
                seen = figure.inner_text()
                for part in data["parts"]:
                    if part["value"]:
                        assert seen.count(f"{part['label']} {part['text']}") == 1
                clipped = figure.evaluate("""(figure) => [...figure.querySelectorAll('.part')]
                    .filter((part) => part.scrollWidth > part.clientWidth + 1).length""")
                assert clipped == 0


@pytest.mark.parametrize("width", [900, 375])
def test_volumes_are_to_one_scale_and_named(browser: Any, width: int) -> None:
    with harness(browser, width=width) as shown:
        shown.mount(VOLUMES, file="ledger.js", name="mountLedger")
        page, longest = shown.page, max(bar["parts"][0]["value"] for bar in VOLUMES["bars"])
        sizes = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
        for figure, size, data in zip(
            page.locator("figure").all(), sizes, VOLUMES["bars"], strict=True
        ):
            (part,) = data["parts"]
            assert size / max(sizes) == pytest.approx(part["value"] / longest, abs=0.01)
            assert data["label"] in figure.inner_text()
            assert figure.inner_text().count(f"{part['label']} {part['text']}") == 1
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [900, 375])
def test_pairs_are_to_one_scale_and_the_best_is_the_shortest(browser: Any, width: int) -> None:
    with harness(browser, width=width) as shown:
        shown.mount(SMS, file="ledger.js", name="mountLedger")
        page = shown.page
        sizes = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
        lengths = [sum(part["value"] for part in bar["parts"]) for bar in SMS["bars"]]
        for size, length in zip(sizes, lengths, strict=True):
            assert size / max(sizes) == pytest.approx(length / max(lengths), abs=0.01)
        captions = page.locator("figcaption").all_inner_texts()
        (best,) = (at for at, words in enumerate(captions) if words.endswith("the shortest"))
        assert sizes[best] == min(sizes)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
def test_curves_are_drawn_to_their_axes(browser: Any, theme: str, width: int) -> None:
    chart = SMS["chart"]
    with harness(browser, theme=theme, width=width) as shown:
        shown.mount(SMS, file="ledger.js", name="mountLedger")
        page = shown.page
        picture = page.get_by_role("img", name=chart["alt"])
        across, high = page.evaluate(INNER)
        assert picture.locator(".curve").count() == len(chart["lines"])
        for line, curve in zip(chart["lines"], picture.locator(".curve").all(), strict=True):
            drawn = [part.split() for part in curve.get_attribute("d")[1:].split("L")]
            wanted = [
                ((x - 1) / (chart["to"] - 1) * across, high * (1 - y / chart["highest"]))
                for x, y in line["points"]
            ]
            for found, right in zip(drawn, wanted, strict=True):
                assert [float(one) for one in found] == pytest.approx(right, abs=0.1)
        texts = picture.locator("text").all_text_contents()
        assert {chart["across"], chart["level"]["name"]} <= set(texts)
        assert {mark["text"] for mark in chart["marks"]} <= set(texts)
        lines = page.locator(".curves .curve").evaluate_all(STROKES)
        assert len(set(lines[: len(chart["lines"])])) == len(chart["lines"])
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_curves_follow_the_data_and_the_theme(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(SMS, file="ledger.js", name="mountLedger")
        page = shown.page
        before = page.locator(".curves .curve").evaluate_all(STROKES)
        page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
        shown.settle()
        assert page.locator(".curves .curve").evaluate_all(STROKES) != before
        page.evaluate("(data) => view.update(data)", answer("sms", {"sms": 40, "knee": 20}))
        marks = page.locator(".curves g text").all_text_contents()
        assert [words.partition(":")[0] for words in marks] == ["13 SMs", "40 SMs"]
        page.evaluate("(data) => view.update(data)", LEDGER)
        assert page.locator(".curves").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_curves_bar_no_reader(browser: Any, theme: str) -> None:
    with harness(browser, theme=theme) as shown:
        shown.mount(SMS, file="ledger.js", name="mountLedger")
        shown.page.add_script_tag(path=str(AXE))
        found = shown.page.evaluate("() => axe.run(document.getElementById('view'))")
        assert [one["id"] for one in found["violations"] if one["impact"] in GRAVE] == []


def test_facts_are_a_table_and_change_with_the_data(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(LEDGER, file="ledger.js", name="mountLedger")
        page = shown.page
        assert page.get_by_role("rowheader").count() == len(LEDGER["facts"])
        other = answer("waiting", {"gpus": 10})
        page.evaluate("(data) => view.update(data)", other)
        assert page.locator(".sentence").inner_text() == other["sentence"]
        assert page.locator("figure").count() == 2
        page.evaluate("() => view.destroy()")
        assert page.evaluate("() => document.getElementById('view').innerHTML") == ""


def test_patterns_tell_the_parts_without_colour(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(LEDGER, file="ledger.js", name="mountLedger")
        patterns = shown.page.evaluate("""() => Object.fromEntries(
            [...document.querySelector('.dualpipe-view').shadowRoot.querySelectorAll('.part')]
            .map((part) => [part.dataset.kind, getComputedStyle(part).backgroundImage]))""")
        kinds = {part["kind"] for bar in LEDGER["bars"] for part in bar["parts"]}
        assert len(kinds) >= 3
        shapes = [pattern.split("rgb")[0] for pattern in patterns.values()]
        assert len(set(shapes)) == len(shapes)
