"""The picture of a token's way: nodes with their GPUs, and an arrow for each crossing of a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dualpipe_ref.plot.figure import (
    FONT,
    TEXT,
    Axes,
    FancyArrowPatch,
    Figure,
    add_axes,
    new_figure,
    put_title,
)
from dualpipe_ref.plot.palette import Palette, Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.volumes import Hop

WIDTH, LEFT = 9.0, 0.1  # inches
TITLE, ROW, KEY = 0.34, 1.62, 0.3  # heights in inches
SIDE, LOW = 0.42, 0.62  # of a GPU's square; its lower edge above the row's
BETWEEN, MARGIN = 0.7, 0.13  # from node to node, and at the ends, in GPUs


def draw_routes(
    routes: Mapping[str, Sequence[Hop]],
    *,
    nodes: int,
    gpus_per_node: int,
    sender: int,
    wanted: Sequence[int],
    sums: Mapping[str, Mapping[int, int]] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Draw the ways of one token, named by their keys, one above the other, with a key below.

    GPUs that want the token are filled, the sender has a thick edge. `sums` are for a way, by its name, the GPUs that add rows
    up, and how many. Raises `InputError` for no way at all.

    >>> from dualpipe_ref.simulate.volumes import hops
    >>> way = {"aggregated": hops(0, [2, 3], 2)}
    >>> figure = draw_routes(way, nodes=2, gpus_per_node=2, sender=0, wanted=[2, 3])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '1', '2', '3', 'node 0', 'node 1']
    """
    if not routes:
        raise InputError("a picture of ways has at least one", "none", "one way")
    colours = palette(theme)
    figure = new_figure(WIDTH, len(routes) * (TITLE + ROW) + KEY)
    inches = (WIDTH - 2 * LEFT) / (nodes * gpus_per_node + (nodes - 1) * BETWEEN + 2 * MARGIN)
    for number, (name, way) in enumerate(routes.items()):
        top = number * (TITLE + ROW)
        put_title(figure, name, colours, LEFT, top + 0.08)
        axes = _axes(figure, top + TITLE, ROW)
        for rank in range(nodes * gpus_per_node):
            middle = _middle(rank, gpus_per_node, inches)
            _square(axes, middle, LOW, SIDE, rank in wanted, rank == sender, colours)
            ink = colours.ink_on(colours.fill(OpKind.F)) if rank in wanted else colours.ink
            added = (sums or {}).get(name, {}).get(rank)
            _words(axes, middle, LOW + SIDE * (0.5 if added is None else 0.7), str(rank), ink)
            if added is not None:
                _words(axes, middle, LOW + SIDE * 0.27, f"+{added}", ink, fontweight="bold")
        for node in range(nodes):
            ends = (node * gpus_per_node, (node + 1) * gpus_per_node - 1)
            _node(axes, node, [_middle(rank, gpus_per_node, inches) for rank in ends], colours)
        for hop in way:
            _arrow(axes, [_middle(rank, gpus_per_node, inches) for rank in hop[:2]], hop, colours)
    key = _axes(figure, len(routes) * (TITLE + ROW), KEY)
    _key(key, colours)
    if sums:
        _words(key, 6.95, 0.15, "+3", colours.ink, fontweight="bold")
        _key_words(key, 7.15, "three rows added up", colours)
    return figure


def _axes(figure: Figure, top: float, height: float) -> Axes:
    """Axes in inches, so that a square is a square."""
    axes = add_axes(figure, LEFT, top, WIDTH - 2 * LEFT, height)
    axes.set(xlim=(0, WIDTH - 2 * LEFT), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _middle(rank: int, gpus_per_node: int, inches: float) -> float:
    return (MARGIN + rank + 0.5 + rank // gpus_per_node * BETWEEN) * inches


def _square(
    axes: Axes, middle: float, low: float, side: float, wants: bool, sends: bool, colours: Palette
) -> None:
    left, right = middle - side / 2, middle + side / 2
    axes.fill(
        (left, right, right, left),
        (low, low, low + side, low + side),
        facecolor=colours.fill(OpKind.F) if wants else colours.idle,
        edgecolor=colours.border,
        linewidth=2.6 if sends else 0.8,
    )


def _node(axes: Axes, node: int, ends: Sequence[float], colours: Palette) -> None:
    left, right = ends[0] - SIDE / 2 - 0.08, ends[1] + SIDE / 2 + 0.08
    low, high = 0.2, LOW + SIDE + 0.08
    axes.plot(
        [left, right, right, left, left],
        [low, low, high, high, low],
        color=colours.muted,
        linewidth=0.8,
    )
    _words(axes, (left + right) / 2, 0.09, f"node {node}", colours.muted)


def _words(axes: Axes, x: float, y: float, words: str, ink: str, **style: Any) -> None:
    axes.text(
        x, y, words, ha="center", va="center", color=ink, fontsize=TEXT, fontfamily=FONT, **style
    )


def _arrow(axes: Axes, ends: Sequence[float], hop: Hop, colours: Palette) -> None:
    """RDMA above the nodes, NVLink below their GPUs."""
    across = ends[1] - ends[0]
    level = LOW + SIDE if hop.rdma else LOW
    height = 0.15 + 0.055 * abs(across) if hop.rdma else -0.12 - 0.04 * abs(across)
    axes.add_patch(
        FancyArrowPatch(
            (ends[0], level),
            (ends[1], level),
            # The middle of the arc is half as far from the chord as its control point.
            connectionstyle=f"arc3,rad={-2 * height / across:.4f}",
            arrowstyle="-|>",
            mutation_scale=10,
            shrinkA=1,
            shrinkB=1,
            **_style(hop.rdma, colours),
        )
    )


def _style(rdma: bool, colours: Palette) -> dict[str, Any]:
    if rdma:
        return {"color": colours.highlight, "linewidth": 2.2}
    return {"color": colours.ink, "linewidth": 1.2, "linestyle": (0, (4, 2))}


def _key(axes: Axes, colours: Palette) -> None:
    for left, words, rdma in ((0.1, "over RDMA", True), (1.7, "over NVLink", False)):
        axes.plot([left, left + 0.4], [0.15, 0.15], **_style(rdma, colours))
        _key_words(axes, left + 0.5, words, colours)
    for left, words, sends in ((3.4, "sender", True), (4.5, "holds an expert of the token", False)):
        _square(axes, left, 0.06, 0.18, not sends, sends, colours)
        _key_words(axes, left + 0.2, words, colours)


def _key_words(axes: Axes, left: float, words: str, colours: Palette) -> None:
    axes.text(left, 0.15, words, va="center", color=colours.ink, fontsize=TEXT, fontfamily=FONT)
