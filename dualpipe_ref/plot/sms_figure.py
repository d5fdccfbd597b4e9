"""A pair's time over the SMs that communication has, with what makes it: computation on the rest, communication on these."""

from __future__ import annotations

from dualpipe_ref.plot.curves import Curve, Mark, draw_curves
from dualpipe_ref.plot.figure import Figure
from dualpipe_ref.plot.palette import Theme
from dualpipe_ref.plot.sms_data import ACROSS, ALONE, MS, Case, curves_of, highest_of


def draw_sms(case: Case, *, theme: Theme = "light") -> Figure:
    """Three curves, the two chunks one after the other as a level, the chosen number and the best one as marks.

    >>> from dualpipe_ref.plot.sms_data import case_of
    >>> [text.get_text() for text in draw_sms(case_of({})).axes[0].texts]
    ['one after the other', 'the pair', 'its computation', 'its communication', '7 SMs', '20 SMs']
    """
    curves = curves_of(case)
    marks = [
        Mark(count, curves[0].y[count - 1], f"{count} SMs", count < case.sms)
        for count in sorted({case.found.best, case.sms})
        if count <= len(curves[0].y)
    ]
    return draw_curves(
        [Curve(*one) for one in curves],
        ACROSS,
        "ms",
        theme=theme,
        marks=marks,
        limit=(ALONE, case.alone.length / MS),
        highest=highest_of(case),
        height=3.2,
    )
