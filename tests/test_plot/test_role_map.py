"""The picture of a role map has a square for each warp, with the numbers of its tasks, in its tasks' colours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dualpipe_ref.plot import draw_role_map
from dualpipe_ref.plot.palette import Theme
from dualpipe_ref.plot.role_map import Group, Row
from dualpipe_ref.schedule.errors import InputError

TASKS = ("to forward", "to move", "to add up", "to lay out " + "in very fine grain " * 8)
GROUPS = st.builds(
    Group,
    st.sampled_from(["sender", "receiver of combine", "forwarder coordinator"]),
    st.integers(1, 6),
    st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True).map(tuple),
)
ROWS = st.lists(
    st.builds(Row, st.just("a block"), st.lists(GROUPS, min_size=1, max_size=3).map(tuple)),
    min_size=1,
    max_size=3,
)


def drawn(figure: Figure, rows: list[Row]) -> list[list[str]]:
    """The numbers in each row's squares."""
    return [[text.get_text() for text in axes.texts] for axes in figure.axes[: len(rows)]]


@settings(max_examples=10, deadline=None)
@given(ROWS, st.sampled_from(["light", "dark"]))
def test_each_warp_has_the_numbers_of_its_tasks(rows: list[Row], theme: Theme) -> None:
    figure = draw_role_map(rows, TASKS, theme=theme)
    assert drawn(figure, rows) == [
        [str(task + 1) for group in row.groups for _ in range(group.warps) for task in group.tasks]
        for row in rows
    ]
    keys = [to_hex(axes.patches[0].get_facecolor()) for axes in figure.axes[len(rows) :]]
    for row, axes in zip(rows, figure.axes, strict=False):
        fills = [
            to_hex(patch.get_facecolor()) for patch in axes.patches if patch.get_facecolor()[3]
        ]
        wanted = [task for group in row.groups for _ in range(group.warps) for task in group.tasks]
        assert fills == [keys[task] for task in wanted]
    assert len(set(keys)) == len(TASKS)


@settings(max_examples=5, deadline=None)
@given(ROWS)
def test_nothing_is_drawn_beyond_the_picture(rows: list[Row]) -> None:
    figure = draw_role_map(rows, TASKS)
    wide, high = figure.get_size_inches() * figure.dpi
    for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= wide
        assert 0 <= box.y0 <= box.y1 <= high


def test_many_are_counted_and_said_in_words() -> None:
    groups = (Group("sender of combine", 5, (0,)), Group("receiver", 1, (1,)))
    figure = draw_role_map([Row("a block", groups)], TASKS)
    assert "5 senders of combine,  1 receiver" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("group", "tasks", "words"),
    [
        (Group("sender", 0, (0,)), TASKS, "a role has warps"),
        (Group("sender", 1, (4,)), TASKS, "one or two of the tasks"),
        (Group("sender", 1, (0, 1, 2)), TASKS, "one or two of the tasks"),
        (Group("sender", 1, ()), TASKS, "one or two of the tasks"),
        (Group("sender", 1, (0,)), (), "1 to 4 tasks"),
    ],
)
def test_what_cannot_be_drawn_is_named(group: Group, tasks: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        draw_role_map([Row("a block", (group,))], tasks)
