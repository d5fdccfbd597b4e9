"""Pictures of a ring: what is in which slot, and who tells whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot import draw_handoff, draw_ring
from dualpipe_ref.plot.ring_figure import Told


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@given(st.integers(1, 5), st.integers(0, 20), st.data())
def test_slots_hold_what_lies_between_the_counters(size: int, head: int, data) -> None:
    held = data.draw(st.integers(0, size))
    shown = texts(draw_ring(size, head, head + held))
    assert shown.count("free") == size - held
    for counter in range(head, head + held):
        assert str(counter) in shown
    assert f"head {head}" in shown
    assert f"tail {head + held}" in shown


@pytest.mark.parametrize(("head", "tail", "nearest"), [(3, 8, 7), (3, 2, 3)])
def test_more_than_fits(head: int, tail: int, nearest: int) -> None:
    with pytest.raises(InputError, match=f"nearest legal: tail = {nearest}"):
        draw_ring(4, head, tail)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_an_arrow_for_each_step_that_tells_another(theme: str) -> None:
    steps = [Told(0, "writes"), Told(0, "stores", to=1, is_order=True), Told(1, "reads")]
    figure = draw_handoff(["one", "other"], steps, scopes=[(0, 0, "a GPU")], theme=theme)
    assert len(figure.axes[0].patches) == 1
    assert texts(figure) == ["one", "other", "a GPU", "writes", "stores", "reads"]
