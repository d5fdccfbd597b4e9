"""Timelines in plain characters say the same as the pictures."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, build, simulate
from dualpipe_ref.plot import Highlight
from dualpipe_ref.plot.text import LEFT_OUT, text_timeline
from dualpipe_ref.simulate import Timeline

from .test_plot_violation import with_moved_op

KIND = st.sampled_from(["gpipe", "1f1b", "zb-h1", "dualpipe"])
COST = st.fractions(Fraction(1, 4), 4, max_denominator=6)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    ranks = draw(st.sampled_from([2, 4]))
    costs = Costs(F=draw(COST), I=draw(COST), W=draw(COST))
    return simulate(build(draw(KIND), ranks, 2 * ranks), costs)


def rows(text: str) -> list[str]:
    return [re.sub(r"^rank \d+ +", "", line, count=1) for line in text.splitlines()[1:]]


@given(timelines())
def test_every_op_stands_in_its_row_in_order(timeline: Timeline) -> None:
    for row, ops in zip(
        rows(text_timeline(timeline, width=99_999)), timeline.schedule.ops, strict=True
    ):
        names = [name.strip() for name in row.split("|") if name.strip()]
        assert names == [str(op) for op in ops]


@given(timelines())
def test_ops_begin_where_their_time_is(timeline: Timeline) -> None:
    """An op that starts later on another rank stands further right."""
    text = text_timeline(timeline, width=99_999)
    begins = [
        [match.start() for match in re.finditer(r"\|(?=[A-Z])", line)]
        for line in text.splitlines()[1:]
    ]
    places = sorted(
        (start, column)
        for starts, columns in zip(timeline.starts, begins, strict=True)
        for start, column in zip(starts, columns, strict=True)
    )
    columns = [column for _, column in places]
    assert all(one <= other + 1 for one, other in itertools.pairwise(columns))


@given(timelines(), st.integers(40, 120), st.data())
def test_no_line_is_wider_and_the_highlight_is_shown(
    timeline: Timeline, width: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, timeline.schedule.ranks - 1))
    index = data.draw(st.integers(0, len(timeline.schedule.ops[rank]) - 1))
    text = text_timeline(timeline, Highlight(((rank, index),)), width=width)
    assert max(map(len, text.splitlines())) <= width
    name = f"[{timeline.schedule.ops[rank][index]}]"
    row = rows(text)[rank]
    assert name in row or (len(name) > width // 2 and LEFT_OUT in row) or name[:8] in row


def test_a_rank_that_stops_says_before_which_op() -> None:
    schedule = with_moved_op("1f1b", 0, 4, 1)
    stopped = simulate(schedule, until_stuck=True)
    assert " stops: B0.0" in rows(text_timeline(stopped))[0]


def test_a_very_short_op_makes_no_endless_line() -> None:
    timeline = simulate(build("zb-h1", 2, 4), Costs(F=1, I=1, W=Fraction(1, 10**9)))
    assert max(map(len, text_timeline(timeline, width=99_999).splitlines())) < 12_000
