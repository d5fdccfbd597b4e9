"""A timeline in plain characters, for a terminal and for a report that is only text."""

from __future__ import annotations

from fractions import Fraction

from dualpipe_ref.plot.exact import time_text
from dualpipe_ref.plot.highlight import Highlight
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.simulate.timeline import Timeline

LEFT_OUT = "…"
WIDTH = 96
LONGEST = 10_000  # characters of a whole row


def text_timeline(
    timeline: Timeline, highlight: Highlight | None = None, *, width: int = WIDTH
) -> str:
    """A line a rank, to scale, each op beginning at `|`; at most `width` characters wide.

    An op of `highlight` stands in brackets. A rank that stops before its end has `stops: ` and the
    op that never starts. What does not fit is cut off; the part that is shown has the first op of
    the highlight in it.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> print(text_timeline(simulate(build("1f1b", 2, 2)), Highlight(((1, 1),))))
    time, 0 to 9
    rank 0  |F0.0|F0.1          |B0.0          |B0.1     |
    rank 1       |F0.0|[B0.0]   |F0.1|B0.1     |
    """
    marked = set((highlight or Highlight()).ops)
    scale = _scale(timeline, marked)
    rows = [_row(timeline, rank, marked, scale) for rank in range(timeline.schedule.ranks)]
    room = width - len(_name(timeline.schedule, 0))
    begin = _window(timeline, highlight, scale, room, max(map(len, rows)))
    end = time_text(timeline.makespan)
    lines = [f"time, 0 to {end}"]
    for rank, row in enumerate(rows):
        lines.append(_name(timeline.schedule, rank) + _cut(row, begin, room))
    return "\n".join(lines)


def _name(schedule: Schedule, rank: int) -> str:
    return f"rank {rank:<{len(str(schedule.ranks - 1))}}  "


def _label(op: object, is_marked: bool) -> str:
    return f"[{op}]" if is_marked else str(op)


def _scale(timeline: Timeline, marked: set[tuple[int, int]]) -> Fraction:
    """Characters in a unit of time: each op has room for its name and the stroke before it."""
    least = Fraction(1)
    for rank, spans in enumerate(timeline.spans):
        for index, (op, start, end) in enumerate(spans):
            if end > start:
                needed = len(_label(op, (rank, index) in marked)) + 1
                least = max(least, Fraction(needed) / Fraction(end - start))
    # Beside a very short op the others would be very long: then it is drawn wider than it is.
    return min(least, LONGEST / Fraction(timeline.makespan)) if timeline.makespan else least


def _row(timeline: Timeline, rank: int, marked: set[tuple[int, int]], scale: Fraction) -> str:
    row = ""
    for index, (op, start, _) in enumerate(timeline.spans[rank]):
        row = row.ljust(round(Fraction(start) * scale)) + "|"
        row += _label(op, (rank, index) in marked)
    ends = timeline.ends[rank]
    row = row.ljust(round(Fraction(ends[-1]) * scale) if ends else 0) + "|"
    ops = timeline.schedule.ops[rank]
    if len(ends) < len(ops):
        never = len(ends)
        row += f" stops: {_label(ops[never], (rank, never) in marked)}"
    return row


def _window(
    timeline: Timeline, highlight: Highlight | None, scale: Fraction, room: int, longest: int
) -> int:
    """The first character that is shown."""
    if longest <= room or not highlight or not highlight.ops:
        return 0
    rank, index = highlight.ops[0]
    starts, ends = timeline.starts[rank], timeline.ends[rank]
    at = starts[index] if index < len(starts) else (ends[-1] if ends else 0)
    middle = round(Fraction(at) * scale)
    return max(0, min(middle - room // 2, longest - room))


def _cut(row: str, begin: int, room: int) -> str:
    shown = row[begin : begin + room]
    if begin and shown.strip():
        shown = LEFT_OUT + shown[1:]
    return shown[: room - 1] + LEFT_OUT if len(row) > begin + room else shown
