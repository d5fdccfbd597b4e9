"""The timeline viewer as a reader meets it: pointer, keys, fingers, both themes, narrow pages."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest

from dualpipe_ref import Costs, Network, build, simulate
from dualpipe_ref.plot import Highlight, viewer_data
from dualpipe_ref.plot.palette import contrast
from dualpipe_ref.schedule.verify import find_violations

from ..test_schedule.two_ranks import two_ranks
from .harness import COLOURS, Harness, harness

COSTS = Costs(FB=3)
DUALPIPE = viewer_data(simulate(build("dualpipe", 8, 20), COSTS), costs=COSTS)
SMALL = viewer_data(simulate(build("1f1b", 4, 8)), title="1F1B")


def words(shown: Harness) -> str:
    text: str = shown.page.locator(".panel").inner_text()
    return re.sub(r"\s+", " ", text)


def press(shown: Harness, *keys: str) -> None:
    for key in keys:
        shown.page.keyboard.press(key)
    shown.settle()


def selected(shown: Harness) -> Any:
    return shown.page.evaluate("() => window.events.at(-1)")


def point(shown: Harness, rank: int, time: float) -> tuple[float, float]:
    """Where on the page a time of a rank is, while everything is shown."""
    box = shown.page.locator(".frame").bounding_box()
    left = 58 if box["width"] >= 480 else 30
    end = shown.page.evaluate("() => Number(document.querySelector('.dualpipe-view').shadowRoot"
                              ".querySelector('.axis .end').textContent)")  # fmt: skip
    rows = shown.page.evaluate("() => document.querySelector('.dualpipe-view').shadowRoot"
                               ".querySelector('.plot').height.baseVal.value - 1")  # fmt: skip
    ranks = shown.page.locator(".ranks text", has_text=re.compile(r"\d")).count()
    x = box["x"] + left + 2 + (box["width"] - left - 4) * time / end
    return x, box["y"] + rows / ranks * (rank + 0.5)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_published_figure(browser: Any, theme: str) -> None:
    with harness(browser, theme=theme) as shown:
        shown.mount(DUALPIPE)
        page = shown.page
        assert page.locator(".title").inner_text() == "dualpipe, P = 8, m = 20"
        assert "makespan 66, idle 6 on every rank" in page.locator(".summary").inner_text()
        # The first row of the published figure.
        row = page.evaluate("""() => [...document.querySelector('.dualpipe-view').shadowRoot
            .querySelectorAll('.cells .numbers text')].filter((text) => text.y.baseVal[0].value < 29)
            .sort((a, b) => a.x.baseVal[0].value - b.x.baseVal[0].value)
            .map((text) => Number(text.textContent))""")
        assert row[:16] == [0, 1, 2, 3, 4, 5, 6, 10, 10, 10, 11, 11, 11, 12, 12, 12]
        assert page.locator(".axis .end").text_content() == "66"
        fill = page.evaluate("""() => getComputedStyle(document.querySelector('.dualpipe-view')
            .shadowRoot.querySelector('.cells .fill')).fill""")
        assert fill == rgb(DUALPIPE["palettes"][theme]["fills"][0][0])
        legend = page.locator(".legend").inner_text()
        assert "direction 1: 10–19" in legend
        assert "forward and backward, overlapped" in legend


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[place : place + 2], 16) for place in (1, 3, 5)))


def test_the_theme_is_followed_while_the_page_is_open(browser: Any) -> None:
    with harness(browser, color_scheme="dark") as shown:
        shown.mount(SMALL)
        ink = "() => document.querySelector('.dualpipe-view').shadowRoot.querySelector('.root').dataset.theme"
        page = shown.page
        assert page.evaluate(ink) == "light"
        for change, theme in (
            ("document.documentElement.dataset.theme = 'dark'", "dark"),
            ("document.documentElement.removeAttribute('data-theme')", "dark"),
            ("document.documentElement.setAttribute('theme', 'light')", "light"),
            ("document.documentElement.removeAttribute('theme')", "dark"),
            ("document.body.setAttribute('data-jp-theme-light', 'true')", "light"),
            ("document.body.setAttribute('data-jp-theme-light', 'false')", "dark"),
        ):
            page.evaluate(f"() => {{ {change} }}")
            shown.settle()
            assert page.evaluate(ink) == theme, change


def test_pointing_tells_what_an_op_waits_for(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        shown.page.mouse.move(*point(shown, 2, 6.5))
        shown.settle()
        told = words(shown)
        assert "Forward of micro-batch 3, direction 0, stage 2" in told
        assert "rank 2, op 5 of 34, step 2 of 8: starts 6, ends 7" in told
        assert "F10 on rank 2 ends 6, so it starts then" in told
        assert "F3 on rank 1 ends 5" in told
        assert "waited for by F11 on rank 2 F3 on rank 3" in told
        assert shown.page.locator(".marks .before").count() == 1
        shown.page.mouse.move(5, 5)
        shown.settle()
        assert "Point at an op" in words(shown)
        assert shown.page.locator(".marks .before").count() == 0


def test_a_pair_is_told_with_both_halves_and_exact_times(browser: Any) -> None:
    costs = Costs(FB=Fraction(11, 5))
    data = viewer_data(simulate(build("dualpipe", 8, 20), costs), costs=costs)
    pair = data["ops"][0]["kinds"].index("4")
    with harness(browser) as shown:
        shown.mount(data)
        shown.page.evaluate(f"() => view.select({{rank: 0, index: {pair}}})")
        told = words(shown)
        assert "overlapped with the backward of micro-batch 3 (drawn as 13), direction 1" in told
        assert "step 4 of 8: starts 17, ends 96/5 = 19.2" in told


def test_an_op_whose_two_messages_are_needed_is_named_once(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        shown.page.evaluate("() => view.select({rank: 3, index: 16})")
        needs = [need for need in DUALPIPE["ops"][3]["needs"] if need[0] == 16]
        assert [need[1:3] for need in needs] == [[4, 15], [4, 15]]
        assert words(shown).count("F17+B3 on rank 4") == 1


def test_stages_are_told_where_numbers_do_not_tell_them(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(viewer_data(simulate(build("zb-v", 2, 3))))
        shown.page.evaluate("() => view.select({rank: 1, index: 0})")
        assert "F0, stage 0, on rank 0 ends 1, so it starts then" in words(shown)


def test_latency_is_told(browser: Any) -> None:
    data = viewer_data(simulate(build("1f1b", 2, 2), network=Network(latency=Fraction(1, 2))))
    with harness(browser) as shown:
        shown.mount(data)
        shown.page.evaluate("() => view.select({rank: 1, index: 0})")
        assert "F0 on rank 0 message arrives 3/2 = 1.5, so it starts then" in words(shown)


def test_keys_go_from_op_to_op(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(SMALL)
        shown.page.keyboard.press("Tab")  # zoom in: the other buttons have nothing to do yet
        press(shown, "Tab")
        assert "rank 0, op 1 of 16" in words(shown)
        steps = {
            "ArrowRight": [0, 1],
            "ArrowDown": [1, 0],
            "End": [1, 15],
            "ArrowUp": [0, 14],
            "ArrowLeft": [0, 13],
            "Home": [0, 0],
        }
        for key, place in steps.items():
            press(shown, key)
            assert selected(shown) == place, key
        press(shown, "ArrowUp", "ArrowLeft")
        assert selected(shown) == [0, 0]
        press(shown, "ArrowDown", "Enter")
        assert selected(shown) == [0, 0]
        press(shown, "Escape")
        assert selected(shown) == []
        assert "Point at an op" in words(shown)


def test_every_op_can_be_reached_with_the_arrows(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(SMALL)
        shown.page.evaluate("() => view.select({rank: 0, index: 0})")
        shown.page.locator(".frame").focus()
        seen = {(0, 0)}
        for _ in range(4):
            for _ in range(15):
                press(shown, "ArrowRight")
                seen.add(tuple(selected(shown)))
            press(shown, "Home", "ArrowDown")
            seen.add(tuple(selected(shown)))
            press(shown, "Home")
            seen.add(tuple(selected(shown)))
        assert len(seen) == 64


def test_zoom_with_buttons_keys_and_wheel(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        page = shown.page
        cells = page.locator(".cells .numbers text")
        page.get_by_role("button", name="zoom in").click()
        shown.settle()
        assert page.locator(".track").is_visible()
        zoomed = cells.count()
        page.get_by_role("button", name="show the whole time").click()
        shown.settle()
        assert cells.count() > zoomed > 0
        assert not page.locator(".track").is_visible()
        assert page.get_by_role("button", name="zoom out").is_disabled()
        page.locator(".frame").focus()
        press(shown, "+", "+")
        assert page.locator(".track").is_visible()
        before = page.locator(".thumb").get_attribute("style")
        press(shown, "Shift+ArrowRight")
        assert page.locator(".thumb").get_attribute("style") != before
        press(shown, "0")
        assert not page.locator(".track").is_visible()
        page.mouse.move(*point(shown, 0, 30))
        page.keyboard.down("Control")
        page.mouse.wheel(0, -300)
        page.keyboard.up("Control")
        shown.settle()
        assert page.locator(".track").is_visible()


def test_a_drag_moves_and_selects_nothing(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        page = shown.page
        x, y = point(shown, 3, 30)
        page.locator(".frame").focus()
        press(shown, "Escape", "+", "+", "+")
        before = page.locator(".thumb").get_attribute("style")
        count = page.evaluate("() => events.length")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 60, y, steps=4)
        page.mouse.up()
        shown.settle()
        assert page.locator(".thumb").get_attribute("style") != before
        assert page.evaluate("() => events.length") == count
        page.mouse.click(x, y)
        assert page.evaluate("() => events.length") == count + 1


def test_choosing_an_op_out_of_sight_brings_it_into_view(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        shown.page.locator(".frame").focus()
        press(shown, "Escape", "+", "+", "+", "+", "Home", "End")
        box = shown.page.evaluate("""() => {
            const root = document.querySelector('.dualpipe-view').shadowRoot;
            const one = root.querySelector('.chosen').getBoundingClientRect();
            const all = root.querySelector('.frame').getBoundingClientRect();
            return [one.left >= all.left, one.right <= all.right + 2]; }""")
        assert box == [True, True]


def test_a_wait_is_a_button_that_leads_there(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        shown.page.evaluate("() => view.select({rank: 2, index: 4})")
        shown.page.get_by_role("button", name="F3 on rank 1").click()
        assert "stage 1" in words(shown)
        assert selected(shown)[0] == 1
        press(shown, "ArrowRight")
        assert selected(shown)[0] == 1


@pytest.mark.parametrize("data", [DUALPIPE, SMALL], ids=["dualpipe", "1f1b"])
def test_narrow_pages_do_not_overflow(browser: Any, data: Any) -> None:
    with harness(browser, width=375, has_touch=True) as shown:
        shown.mount(data)
        shown.page.evaluate("() => view.select({rank: 1, index: 7})")
        shown.settle()
        widths = "() => [document.documentElement.scrollWidth, innerWidth]"
        assert shown.page.evaluate(widths) == [375, 375]
        inside = shown.page.evaluate("""() => [...document.querySelector('.dualpipe-view').shadowRoot
            .querySelectorAll('.root, .root > *, .panel *, .legend li, .tools button')]
            .filter((one) => one.getBoundingClientRect().right > 376).map((one) => one.outerHTML)""")
        assert inside == []


def test_a_phone_starts_with_numbers_that_can_be_read(browser: Any) -> None:
    with harness(browser, width=375, has_touch=True) as shown:
        shown.mount(DUALPIPE)
        assert shown.page.locator(".track").is_visible()
        assert shown.page.locator(".cells .numbers text").count() > 100
        shown.page.get_by_role("button", name="show the whole time").click()
        shown.settle()
        assert not shown.page.locator(".track").is_visible()


def test_a_finger_taps_an_op(browser: Any) -> None:
    with harness(browser, width=375, has_touch=True) as shown:
        shown.mount(SMALL)
        shown.page.touchscreen.tap(*point(shown, 3, 3.5))
        assert selected(shown) == [3, 0]
        assert "Forward of micro-batch 0, stage 3" in words(shown)


def test_two_fingers_zoom_and_one_moves(browser: Any) -> None:
    with harness(browser, width=375, has_touch=True) as shown:
        shown.mount(SMALL)
        x, y = point(shown, 1, 15)
        device = shown.page.context.new_cdp_session(shown.page)

        def touch(kind: str, *places: float) -> None:
            points = [{"x": place, "y": y, "id": number} for number, place in enumerate(places)]
            device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        assert not shown.page.locator(".track").is_visible()
        touch("touchStart", x - 20, x + 20)
        for reach in (30, 45, 60):
            touch("touchMove", x - reach, x + reach)
        touch("touchEnd")
        shown.settle()
        assert shown.page.locator(".track").is_visible()
        before = shown.page.locator(".thumb").get_attribute("style")
        touch("touchStart", x)
        for reach in (20, 50, 80):
            touch("touchMove", x - reach)
        touch("touchEnd")
        shown.settle()
        assert shown.page.locator(".thumb").get_attribute("style") != before
        assert shown.page.evaluate("() => events.length") == 0


def test_a_page_that_grows_shows_everything_again(browser: Any) -> None:
    with harness(browser, width=700) as shown:
        shown.mount(SMALL)
        for width in (375, 1200):
            shown.page.set_viewport_size({"width": width, "height": 800})
            shown.page.wait_for_function(
                """(wanted) => document.querySelector('.dualpipe-view')
                    .shadowRoot.querySelector('svg').width.baseVal.value === wanted""",
                arg=width - 32,
            )
            assert not shown.page.locator(".track").is_visible()


def test_update_shows_other_data_and_destroy_leaves_nothing(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        shown.page.evaluate("() => view.select({rank: 7, index: 3})")
        shown.page.evaluate("(data) => view.update(data)", SMALL)
        shown.settle()
        assert shown.page.locator(".title").inner_text() == "1F1B"
        assert shown.page.locator(".ranks text").count() == 4
        assert "Point at an op" in words(shown)
        shown.page.evaluate("() => view.destroy()")
        assert shown.page.evaluate("() => document.getElementById('view').innerHTML") == ""
        shown.page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
        shown.page.set_viewport_size({"width": 500, "height": 500})
        shown.settle()


def test_a_deadlock_shows_its_ring(browser: Any) -> None:
    schedule = two_ranks("F0 a0 F1 a1 g0 B0 g1 B1", "a0 F0 B0 g0 a1 F1 B1 g1")
    (violation,) = find_violations(schedule)
    timeline = simulate(schedule, network=Network(sends="rendezvous"), until_stuck=True)
    data = viewer_data(timeline, highlight=Highlight.cycle(violation.cycle))
    with harness(browser) as shown:
        shown.mount(data)
        assert shown.page.locator(".marks .wanted").count() == 2
        heads = shown.page.locator(".marks .head").get_attribute("d")
        assert heads.count("M") == 2
        assert "never starts" in shown.page.locator(".legend").inner_text()
        rank, index, _ = violation.cycle[0]
        shown.page.evaluate(f"() => view.select({{rank: {rank}, index: {index}}})")
        assert "never starts: its rank waits here" in words(shown)


def test_nothing_in_the_data_becomes_markup(browser: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"
    data = viewer_data(simulate(build("1f1b", 2, 2)), title=evil)
    data["unit"] = evil
    with harness(browser) as shown:
        shown.mount(data)
        shown.page.evaluate("() => view.select({rank: 0, index: 0})")
        assert shown.page.locator(".title").inner_text() == evil
        assert shown.page.locator("img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_are_readable(browser: Any, theme: str) -> None:
    """WCAG AA: 4.5 for text, against the page."""
    paper = COLOURS[theme][0]
    with harness(browser, theme=theme) as shown:
        shown.mount(DUALPIPE)
        shown.page.evaluate("() => view.select({rank: 0, index: 20})")
        inks = shown.page.evaluate("""() => [...document.querySelector('.dualpipe-view').shadowRoot
            .querySelectorAll('p, li, dt, dd, button:not(:disabled)')]
            .map((one) => getComputedStyle(one).color)""")
        assert len(inks) > 10
        assert min(contrast(hexadecimal(ink), paper) for ink in inks) >= 4.5


def hexadecimal(colour: str) -> str:
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return f"#{red:02X}{green:02X}{blue:02X}"


def test_names_for_those_who_do_not_see_it(browser: Any) -> None:
    with harness(browser) as shown:
        shown.mount(DUALPIPE)
        page = shown.page
        frame = page.get_by_role("application")
        assert "Timeline of dualpipe, P = 8, m = 20: makespan 66" in frame.get_attribute(
            "aria-label"
        )
        assert page.locator(".panel").get_attribute("aria-live") == "polite"
        for name in ("zoom in", "zoom out", "show the whole time"):
            assert page.get_by_role("button", name=name).count() == 1


WIDGET = """async (data) => {
    const { default: widget } = await import('/bundled/viewer.js');
    const values = { data, selected: [] };
    const heard = {};
    window.saved = 0;
    window.model = {
        get: (name) => values[name],
        set: (name, value) => { values[name] = value; (heard['change:' + name] || []).forEach((act) => act()); },
        save_changes: () => { window.saved += 1; },
        on: (name, act) => { (heard[name] ||= []).push(act); },
        off: (name, act) => { heard[name] = heard[name].filter((one) => one !== act); },
        heard: () => Object.values(heard).flat().length,
    };
    window.close = await widget.render({ model, el: document.getElementById('view') });
}"""


def test_the_widget_contract(browser: Any) -> None:
    with harness(browser) as shown:
        page = shown.page
        page.evaluate(WIDGET, DUALPIPE)
        shown.settle()
        page.mouse.click(*point(shown, 2, 6.5))
        assert page.evaluate("() => model.get('selected')") == [2, 4]
        assert page.evaluate("() => saved") == 1
        page.evaluate("() => model.set('selected', [1, 2])")
        assert "rank 1, op 3 of" in words(shown)
        page.evaluate("(data) => model.set('data', data)", SMALL)
        shown.settle()
        assert page.locator(".title").inner_text() == "1F1B"
        page.evaluate("() => window.close()")
        assert page.evaluate(
            "() => [document.getElementById('view').innerHTML, model.heard()]"
        ) == ["", 0]


def test_nineteen_thousand_ops(browser: Any, capsys: pytest.CaptureFixture[str]) -> None:
    data = viewer_data(simulate(build("zb-v", 32, 100)))
    with harness(browser) as shown:
        taken = shown.mount(data)
        small = shown.page.locator(".cells path").count()
        shown.page.locator(".frame").focus()
        press(shown, "Escape", *["+"] * 9)
        assert shown.page.locator(".cells .numbers text").count() > 100
        shown.page.evaluate("() => view.destroy()")
        again = shown.mount(DUALPIPE)
    assert small < 20
    with capsys.disabled():
        print(f"\n19,200 ops mounted in {taken:.0f} ms, 282 ops in {again:.0f} ms")
