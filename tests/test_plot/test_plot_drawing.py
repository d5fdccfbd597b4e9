"""Pictures: nothing clipped or laid over, all sizes, highlights, memory, comparisons."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dualpipe_ref import Costs, InputError, build, simulate
from dualpipe_ref.plot import Highlight, Theme, draw_comparison, draw_memory, draw_timeline
from dualpipe_ref.schedule import KINDS
from dualpipe_ref.simulate import Timeline


def run(kind: str = "dualpipe", ranks: int = 8, microbatches: int = 20) -> Timeline:
    return simulate(build(kind, ranks, microbatches), Costs(FB=3))


def rendered(figure: Figure) -> Any:
    """The canvas on which the figure has been drawn."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def words(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every visible text but the cells' numbers, with its place in pixels."""
    renderer = rendered(figure).get_renderer()
    numbers = {text for axes in figure.axes for text in axes.texts if text.get_clip_on()}
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in found
        if text.get_text() and text.get_visible() and text not in numbers
    ]


def assert_tidy(figure: Figure) -> None:
    """No words over each other or over the figure's edge."""
    found = words(figure)
    width, height = figure.bbox.size
    for text, box in found:
        assert 0 <= box.x0 <= box.x1 <= width, f"{text!r} leaves the figure: {box}"
        assert 0 <= box.y0 <= box.y1 <= height, f"{text!r} leaves the figure: {box}"
    for (one, its), (other, others) in combinations(found, 2):
        assert not Bbox.intersection(its.padded(-0.5), others.padded(-0.5)), (one, other)


def gids(figure: Figure) -> set[Any]:
    return {collection.get_gid() for collection in figure.axes[0].collections}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ranks", "microbatches"), [(2, 4), (20, 80)])
def test_words_are_tidy(kind: str, ranks: int, microbatches: int) -> None:
    timeline = run(kind, ranks, microbatches)
    assert_tidy(draw_timeline(timeline, title="a title", memory=True))
    assert_tidy(draw_comparison([timeline, timeline]))
    assert_tidy(draw_memory(timeline, title="a title"))


@pytest.mark.parametrize("width", [5.0, 7.5, 20.0])
def test_words_are_tidy_at_any_width(width: float) -> None:
    assert_tidy(draw_timeline(run(), width=width, title="a title"))
    assert_tidy(draw_comparison([run("1f1b"), run()], width=width))
    slow = simulate(build("1f1b", 8, 20), Costs(F=12345.6, I=1, W=1))
    assert_tidy(draw_comparison([slow, run()], width=width))


def test_the_check_sees_laid_over_words() -> None:
    figure = draw_timeline(run())
    figure.text(0.5, 0.5, "one")
    figure.text(0.5, 0.5, "two")
    with pytest.raises(AssertionError, match="two"):
        assert_tidy(figure)


def test_numbers_lie_inside_their_cells() -> None:
    for width in (10.0, 11.0, 16.0):
        figure = draw_timeline(run(), width=width)
        axes, renderer = figure.axes[0], rendered(figure).get_renderer()
        left, right = axes.transData.transform([(0, 0), (1, 0)])[:, 0]
        assert axes.texts
        for text in axes.texts:
            assert text.get_window_extent(renderer).width <= right - left


@pytest.mark.parametrize("theme", get_args(Theme))
def test_the_same_picture_twice_is_the_same_to_the_byte(theme: Theme) -> None:
    def png() -> bytes:
        file = io.BytesIO()
        draw_timeline(run(), theme=theme, title="t").savefig(file, format="png")
        return file.getvalue()

    assert png() == png()


def test_the_background_is_transparent() -> None:
    assert bytes(rendered(draw_timeline(run())).buffer_rgba())[3] == 0


def test_a_large_schedule_takes_seconds_and_few_artists() -> None:
    timeline = run("dualpipe", 64, 512)
    begin = time.process_time()
    figure = draw_timeline(timeline)
    rendered(figure)
    assert time.process_time() - begin < 20  # about 1 s of a core
    assert not figure.axes[0].texts
    assert len(figure.axes[0].collections) < 10
    assert "stretch FB" in gids(figure)


def test_a_large_schedule_on_wide_paper_has_every_cell() -> None:
    axes = draw_timeline(run("dualpipe", 64, 512), width=60).axes[0]
    drawn = sum(len(c.get_paths()) for c in axes.collections if c.get_gid() in ("F0", "F1"))
    assert drawn == 64 * 512


def test_numbers_on_demand() -> None:
    assert not draw_timeline(run(), numbers="none").axes[0].texts
    assert not draw_timeline(run(), width=4).axes[0].texts
    cells = len(draw_timeline(run()).axes[0].texts)
    assert len(draw_timeline(run(), width=4, numbers="all").axes[0].texts) == cells
    with pytest.raises(InputError, match="auto, all or none"):
        draw_timeline(run(), numbers="some")  # type: ignore[arg-type]


def test_highlight_outlines_ops_and_draws_arrows() -> None:
    timeline = run()
    figure = draw_timeline(timeline, highlight=Highlight.cycle([(0, 17), (1, 16), (2, 15)]))
    axes = figure.axes[0]
    outlines = next(c for c in axes.collections if c.get_gid() == "highlight")
    left = [path.get_extents().x0 for path in outlines.get_paths()]
    assert left == [timeline.starts[0][17], timeline.starts[1][16], timeline.starts[2][15]]
    assert [patch.get_gid() for patch in axes.patches] == ["arrow"] * 3


def test_highlight_takes_plain_places_and_the_end_of_a_rank() -> None:
    timeline = run()
    end = len(timeline.schedule.ops[0])
    assert "highlight" in gids(draw_timeline(timeline, highlight=[(0, 3, "an op")]))
    figure = draw_timeline(timeline, highlight=Highlight.path([(0, end), (1, 0)]))
    assert len(figure.axes[0].patches) == 1
    with pytest.raises(InputError, match="nearest legal"):
        draw_timeline(timeline, highlight=[(0, end + 1)])


def test_given_axes_are_drawn_on() -> None:
    figure = Figure(figsize=(9, 3))
    axes = figure.subplots()
    assert draw_timeline(run(), axes=axes) is figure
    assert len(figure.axes) == 1
    assert axes.collections
    assert draw_memory(run(), axes=figure.add_subplot()) is figure


def test_memory_panel_shares_the_time_axis() -> None:
    timeline, below, _ = draw_timeline(run(), memory=True).axes
    assert timeline.get_xlim() == below.get_xlim()
    assert timeline.get_position().x0 == below.get_position().x0
    assert timeline.get_position().x1 == below.get_position().x1
    assert [text.get_text() for text in below.texts][2:] == ["9"] * 8


def test_comparison_has_one_axis_and_each_one_s_results() -> None:
    timelines = [run("1f1b"), run("zb-h1"), run("dualpipe")]
    figure = draw_comparison(timelines)
    assert {axes.get_xlim() for axes in figure.axes[:3]} == {(0.0, 81.0)}
    texts = [text.get_text() for text in figure.texts]
    assert [t for t in texts if "makespan" in t] == ["makespan 81", "makespan 67", "makespan 66"]
    assert [t for t in texts if "idle" in t] == ["idle 25.9 %", "idle 10.4 %", "idle 9.1 %"]


def test_comparison_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="at least one"):
        draw_comparison([])
    with pytest.raises(InputError, match="one unit"):
        draw_comparison([run(), replace(run(), unit="ms")])
    with pytest.raises(InputError, match="one label a timeline"):
        draw_comparison([run()], labels=["a", "b"])


def test_a_title_is_taken_literally() -> None:
    figure = draw_timeline(run(), title="costs $5 and 5$")
    assert ("costs $5 and 5$") in [text for text, _ in words(figure)]


def test_unit_stands_at_the_axis() -> None:
    axes = draw_timeline(replace(run(), unit="ms")).axes[0]
    assert axes.get_xlabel() == "time (ms)"
