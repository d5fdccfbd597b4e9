"""The lanes of a pair as a reader meets them: to scale, moved by pointer, by keys and by buttons."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.plot.lanes_text import named_order
from dualpipe_ref.plot.live import answer
from dualpipe_ref.simulate.lanes import published_order

from .harness import Harness, harness
from .visit import AXE, GRAVE

STATE: dict[str, Any] = {"layers": 2, "combine": 2}
LANES = answer("lanes", STATE)
RING = named_order(published_order(1))
RING["communication"].reverse()


def mount(shown: Harness, data: dict[str, Any] = LANES) -> None:
    shown.mount(data, file="lanes.js", name="mountLanes")
    shown.page.emulate_media(reduced_motion="reduce")


def piece(shown: Harness, name: str) -> Any:
    return shown.page.locator(f'[data-id="{name}"]')


def asked(shown: Harness) -> list[Any]:
    """The orders that the view has asked for."""
    orders: list[Any] = shown.page.evaluate("() => window.events")
    return orders


def moved(name: str, to: int) -> dict[str, Any]:
    """The order of LANES with one piece at another place of its lane."""
    order = dict(LANES["order"])
    for lane in ("computation", "communication"):
        if name in order[lane]:
            rest = [one for one in order[lane] if one != name]
            order[lane] = [*rest[:to], name, *rest[to:]]
    return order


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 375)])
def test_pieces_are_to_scale_and_named(browser: Any, theme: str, width: int) -> None:
    with harness(browser, theme=theme, width=width) as shown:
        mount(shown)
        pieces = [one for lane in LANES["lanes"] for one in lane["pieces"]]
        assert shown.page.locator(".piece").count() == len(pieces) == 20
        first = piece(shown, "A.F0").bounding_box()
        for one in pieces:
            box = piece(shown, one["id"]).bounding_box()
            assert box["width"] == pytest.approx(
                first["width"] * (one["end"] - one["start"]), abs=1.5
            )
            assert box["x"] - first["x"] == pytest.approx(first["width"] * one["start"], abs=1.5)
            assert one["words"] in piece(shown, one["id"]).get_attribute("aria-label")
        bound = shown.page.locator(".bound").bounding_box()
        assert bound["x"] - first["x"] == pytest.approx(first["width"] * LANES["bound"], abs=2)
        assert shown.page.evaluate("() => document.documentElement.scrollWidth") == width
        assert first["width"] >= 25  # wide enough for a finger


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_a_reader(browser: Any, theme: str) -> None:
    data = answer("lanes", {"layers": 1, "order": {"layers": 1, **RING}})
    for shown_data in (LANES, data):
        with harness(browser, theme=theme) as shown:
            mount(shown, shown_data)
            piece(shown, "A.F0").focus()
            shown.page.add_script_tag(path=str(AXE))
            found = shown.page.evaluate("() => axe.run(document.getElementById('view'))")
            assert [one["id"] for one in found["violations"] if one["impact"] in GRAVE] == []


def test_a_piece_is_dragged_to_another_place(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        start, target = (piece(shown, name).bounding_box() for name in ("M.W1", "A.F1"))
        middle = start["y"] + start["height"] / 2
        mouse = shown.page.mouse
        mouse.move(start["x"] + start["width"] / 2, middle)
        mouse.down()
        mouse.move(target["x"] + 10, middle, steps=5)
        mark = shown.page.locator(".mark")
        assert mark.is_visible()
        assert mark.bounding_box()["x"] == pytest.approx(target["x"], abs=4)
        mouse.up()
        assert not mark.is_visible()
        # Before attention of layer 1, which has number 5 when the dragged piece is taken out.
        assert asked(shown) == [moved("M.W1", 5)]


def test_a_drag_that_goes_nowhere_or_is_taken_away_asks_for_nothing(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        box = piece(shown, "M.W1").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + 20
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 9, y)
        shown.page.mouse.up()
        piece(shown, "M.W1").dispatch_event("pointerdown", {"button": 0, "pointerId": 1})
        assert asked(shown) == []
        assert "MLP(W) of layer 1" in shown.page.locator(".words").inner_text()


def test_keys_choose_and_move(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        key = shown.page.keyboard.press
        piece(shown, "A.F0").focus()
        key("ArrowRight")
        key("ArrowRight")
        assert "MLP(W) of layer 1: from 3 to 4" in shown.page.locator(".words").inner_text()
        key("Shift+ArrowRight")
        assert asked(shown) == [moved("M.W1", 3)]
        key("ArrowDown")
        assert "dispatch(I) of layer 1" in shown.page.locator(".words").inner_text()
        key("End")
        key("Shift+ArrowRight")  # there is no later place
        key("Home")
        key("Shift+ArrowLeft")
        assert len(asked(shown)) == 1
        assert "combine(I) of layer 1" in shown.page.locator(".words").inner_text()


def test_each_lane_is_one_stop_of_the_tab_key(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        assert shown.page.locator('.piece[tabindex="0"]').count() == 2
        piece(shown, "M.F0").click()
        ids = [
            one.get_attribute("data-id") for one in shown.page.locator('.piece[tabindex="0"]').all()
        ]
        assert ids == ["M.F0", "C.I1"]


def test_buttons_move_and_load_orders(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        button = shown.page.get_by_role("button", name="earlier")
        assert button.is_disabled()
        piece(shown, "D.I1").click()
        button.click()
        shown.page.get_by_role("button", name="later").click()
        shown.page.get_by_role("button", name="Best order").click()
        shown.page.get_by_role("button", name="Published order").click()
        orders = LANES["orders"]
        wanted = [moved("D.I1", 1), moved("D.I1", 3), orders["best"], orders["published"]]
        assert asked(shown) == wanted


def test_an_answer_keeps_the_focus_and_a_ring_is_told(browser: Any) -> None:
    with harness(browser) as shown:
        mount(shown)
        piece(shown, "M.W1").focus()
        order = moved("M.W1", 3)
        shown.page.evaluate(
            "(data) => view.update(data)", answer("lanes", {**STATE, "order": order})
        )
        focused = (
            "() => document.querySelector('.dualpipe-view').shadowRoot.activeElement.dataset.id"
        )
        assert shown.page.evaluate(focused) == "M.W1"
        seen = [
            one.get_attribute("data-id")
            for one in shown.page.locator(".lane").first.locator(".piece").all()
        ]
        assert seen == order["computation"]
        stopped = answer("lanes", {"layers": 1, "order": {"layers": 1, **RING}})
        shown.page.evaluate("(data) => view.update(data)", stopped)
        assert shown.page.locator(".problem p").all_inner_texts() == stopped["problem"]
        assert shown.page.locator(".piece.ghost").count() == 9
        shown.page.evaluate("() => view.destroy()")
        assert shown.page.evaluate("() => document.getElementById('view').innerHTML") == ""


def test_data_without_orders_are_only_shown(browser: Any) -> None:
    with harness(browser) as shown:
        shown.page.evaluate(
            """async (data) => { const views = await import('/lanes.js');
                views.mountLanes(document.getElementById('view'), data); }""",
            {**LANES, "rows": None, "marked": ["M.F0"]},
        )
        shown.settle()
        assert shown.page.locator(".tools button").count() == 0
        assert shown.page.locator("table").count() == 0
        assert "MLP(F) of layer 0" in shown.page.locator(".words").inner_text()


WIDGET = """async ([data, fixed]) => {
    const { default: widget } = await import('/bundled/lanes.js');
    const values = { data, order: {}, fixed };
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
        page.evaluate(WIDGET, [LANES, False])
        shown.settle()
        page.get_by_role("button", name="Best order").click()
        assert page.evaluate("() => model.get('order')") == LANES["orders"]["best"]
        assert page.evaluate("() => saved") == 1
        best = answer("lanes", {**STATE, "order": LANES["orders"]["best"]})
        page.evaluate("(data) => model.set('data', data)", best)
        assert page.locator(".sentence").inner_text() == best["sentence"]
        page.evaluate("() => close()")
        assert page.evaluate("() => model.heard()") == 0
        assert page.evaluate("() => document.getElementById('view').innerHTML") == ""


def test_a_fixed_widget_asks_for_nothing(browser: Any) -> None:
    with harness(browser) as shown:
        shown.page.evaluate(WIDGET, [LANES, True])
        shown.settle()
        piece(shown, "M.W1").focus()
        shown.page.keyboard.press("Shift+ArrowRight")
        assert shown.page.locator(".tools button").count() == 0
        assert shown.page.evaluate("() => saved") == 0
