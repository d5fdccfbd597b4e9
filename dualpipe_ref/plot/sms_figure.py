"""A pair's time over the SMs that communication has, with what makes it: computation on the rest, communication on these."""

from __future__ import annotations

from dualpipe_ref.plot.curves import Curve, Mark, draw_curves
from dualpipe_ref.plot.figure import Figure
from dualpipe_ref.plot.palette import Theme
from dualpipe_ref.plot.sms_data import MS, Case

MOST = 48  # SMs that are drawn


def draw_sms(case: Case, *, theme: Theme = "light") -> Figure:
    """Three curves, the two chunks one after the other as a level, the chosen number and the best one as marks.

    >>> from dualpipe_ref.plot.sms_data import case_of
    >>> [text.get_text() for text in draw_sms(case_of({})).axes[0].texts]
    ['one after the other', 'the pair', 'its computation', 'its communication', '7 SMs', '20 SMs']
    """
    counts = range(1, min(MOST, case.of - 1) + 1)
    on = [case.on(count) for count in counts]
    curves = [
        Curve("the pair", counts, [one.parts.length / MS for one in on]),
        Curve("its computation", counts, [one.computing / MS for one in on]),
        Curve("its communication", counts, [one.communicating / MS for one in on]),
    ]
    alone = case.alone.length / MS
    marks = [
        Mark(count, on[count - 1].parts.length / MS, f"{count} SMs", count < case.sms)
        for count in sorted({case.found.best, case.sms})
        if count <= len(on)
    ]
    return draw_curves(
        curves,
        "SMs that communication has",
        "ms",
        theme=theme,
        marks=marks,
        limit=("one after the other", alone),
        highest=1.35 * alone,
        height=3.2,
    )
