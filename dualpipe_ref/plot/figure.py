"""A matplotlib figure laid out in inches, and the one place where matplotlib is imported."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.plot.palette import Palette

try:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import withStroke
    from matplotlib.textpath import TextPath
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError(
        "drawing needs matplotlib, which cannot be imported here;"
        " install it with: pip install -e '.[plot]'"
    ) from error

POINTS = 72.0  # points an inch
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture is the same everywhere
TEXT = 8.5  # points
TITLE = 10.5


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size (inches) with no background, bound to no window system."""
    return Figure(figsize=(width, height), dpi=100, facecolor="none")


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes with their upper left corner at (`left`, `top`), in inches from the figure's."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height),
        facecolor="none",
    )


def figure_of(axes: Axes) -> Figure:
    """The whole figure that the axes lie in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def size_in_inches(axes: Axes) -> tuple[float, float]:
    """Width and height of the axes on paper."""
    box, size = axes.get_position(), figure_of(axes).get_size_inches()
    return box.width * size[0], box.height * size[1]


def text_width(text: str, size: float = TEXT) -> float:
    """Width of `text` in inches, by the font's outlines (no picture has to be made for it).

    A little is added, since on a screen letters are set on whole pixels.
    """
    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family=FONT))
    return 1.06 * float(path.get_extents().width) / POINTS


def put_text(figure: Figure, left: float, top: float, text: str, colour: str, **style: Any) -> None:
    """Text at (`left`, `top`), in inches from the figure's upper left corner, taken literally."""
    width, height = figure.get_size_inches()
    asked: dict[str, Any] = {
        "va": "top",
        "fontsize": TEXT,
        "fontfamily": FONT,
        "color": colour,
        **style,
    }
    figure.text(left / width, 1 - top / height, text, parse_math=False, **asked)


def put_title(figure: Figure, title: str, palette: Palette, left: float, top: float = 0.1) -> None:
    """A title flush with the axes beneath it."""
    put_text(figure, left, top, title, palette.ink, fontsize=TITLE, fontweight="bold")


__all__ = [
    "FONT",
    "POINTS",
    "TEXT",
    "TITLE",
    "Axes",
    "FancyArrowPatch",
    "Figure",
    "MaxNLocator",
    "PolyCollection",
    "add_axes",
    "figure_of",
    "new_figure",
    "put_text",
    "put_title",
    "size_in_inches",
    "text_width",
    "withStroke",
]
