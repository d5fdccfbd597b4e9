"""Broken schedules are drawn as far as they run, with what waits for what."""

from __future__ import annotations

import matplotlib.figure
from matplotlib.patches import FancyArrowPatch

from dualpipe_ref.plot import draw_violation
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.formats import from_dict, to_dict
from dualpipe_ref.schedule.verify import find_violations


def with_moved_op(kind: str, rank: int, source: int, target: int) -> Schedule:
    """A schedule in which one op of one rank stands elsewhere; messages placed anew."""
    data = to_dict(build(kind, 4, 8))
    data.pop("ops_with_commits")
    ops = data["ops"][rank]
    ops.insert(target, ops.pop(source))
    return from_dict(data).schedule


def arrows(figure: matplotlib.figure.Figure) -> int:
    return sum(isinstance(patch, FancyArrowPatch) for patch in figure.axes[0].patches)


def test_a_ring_is_drawn_with_an_arrow_for_each_wait() -> None:
    schedule = with_moved_op("1f1b", 0, 4, 1)
    violation = find_violations(schedule)[0]
    assert len(violation.cycle) == 2
    figure = draw_violation(schedule, violation)
    assert arrows(figure) == 2
    words = "".join(text.get_text() for text in figure.texts)
    assert "rank 0 at B0.0 (op 1) waits for rank 1 at F0.1 (op 1)" in words


def test_an_op_too_early_is_outlined() -> None:
    schedule = with_moved_op("zb-h1", 3, 1, 0)
    violation = find_violations(schedule)[0]
    assert violation.rule == "order on one rank"
    assert arrows(draw_violation(schedule, violation, theme="dark")) == 0


def test_a_rule_without_a_place_is_drawn_too() -> None:
    data = to_dict(build("gpipe", 2, 2))
    data.pop("ops_with_commits")
    data["ops"][1].pop()
    schedule = from_dict(data).schedule
    violation = find_violations(schedule)[0]
    assert violation.place is None
    assert draw_violation(schedule, violation).axes
