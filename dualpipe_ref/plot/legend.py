"""The legend: sample cells drawn by the same code as the picture's, with words beside them."""

from __future__ import annotations

from dataclasses import dataclass

from dualpipe_ref.plot.cells import Cell
from dualpipe_ref.plot.figure import FONT, POINTS, TEXT, Axes, Figure, add_axes, text_width
from dualpipe_ref.plot.paint import (
    Scale,
    add_boxes,
    box_of,
    paint_cells,
    paint_idle_boxes,
    paint_numbers,
)
from dualpipe_ref.plot.palette import LABELS, Palette
from dualpipe_ref.schedule.ir import OpKind, Schedule

ROW = 0.24  # inches, of one line of the legend
SWATCH = 0.3  # inches
AFTER_SWATCH = 0.07
BETWEEN = 0.24


@dataclass(frozen=True)
class Entry:
    """One item: its words and the cell that stands for it (no kind: idle), with its numbers."""

    words: str
    kind: OpKind | None = None
    slot: int | None = None
    number: str = ""
    range: str = ""

    @property
    def text(self) -> str:
        return f"{self.words}: {self.range}" if self.range else self.words

    @property
    def width(self) -> float:
        return SWATCH + AFTER_SWATCH + text_width(self.text) + BETWEEN


def entries(schedule: Schedule, *, dense: bool, numbered: bool, offset: int) -> list[Entry]:
    """What the picture of this schedule needs explained."""
    kinds = {op.kind for ops in schedule.ops for op in ops}
    shown = kinds | ({OpKind.F, OpKind.B} if OpKind.FB in kinds and not dense else set())
    items = [Entry(words, kind) for kind, words in LABELS.items() if kind in shown]
    items.append(Entry("idle"))
    if not dense and schedule.placement.slots > 1:
        items += _slot_entries(schedule, numbered, offset)
    return items


def _slot_entries(schedule: Schedule, numbered: bool, offset: int) -> list[Entry]:
    two_ways = schedule.placement.directions > 1
    last = schedule.microbatches_per_direction - 1
    items = []
    for slot in range(schedule.placement.slots):
        first = offset * slot if two_ways else 0
        words = f"direction {slot}" if two_ways else f"slot {slot}"
        number = str(first) if numbered else ""
        numbers = f"{first}\N{EN DASH}{first + last}" if numbered and two_ways else ""
        items.append(Entry(words, OpKind.F, slot, number, numbers))
    return items


def lines_of(items: list[Entry], width: float) -> list[list[Entry]]:
    """The items broken into lines of at most `width` inches; slots stay together."""
    if sum(item.width for item in items) - BETWEEN <= width:
        return [items]
    kinds = [item for item in items if item.slot is None]
    slots = [item for item in items if item.slot is not None]
    return [*_broken(kinds, width), *(_broken(slots, width) if slots else [])]


def _broken(items: list[Entry], width: float) -> list[list[Entry]]:
    lines: list[list[Entry]] = [[]]
    room = width
    for item in items:
        if item.width - BETWEEN > room and lines[-1]:
            lines.append([])
            room = width
        lines[-1].append(item)
        room -= item.width
    return lines


def put_legend(
    figure: Figure,
    lines: list[list[Entry]],
    palette: Palette,
    place: tuple[float, float, float],
    *,
    slots: int,
    dense: bool,
) -> None:
    """Draw the lines; `place` is their left, top and width in inches."""
    left, top, width = place
    axes = add_axes(figure, left, top, width, ROW * len(lines))
    axes.set(xlim=(0, width), ylim=(len(lines), 0))
    axes.set_gid("legend")
    axes.set_axis_off()
    scale = Scale(POINTS, ROW * POINTS, SWATCH * POINTS)
    for row, line in enumerate(lines):
        x = 0.0
        for item in line:
            if dense and item.kind:
                box = box_of(row, x, x + SWATCH)
                add_boxes(axes, [box], "swatch", facecolors=palette.fill(item.kind))
            else:
                _swatch(axes, item, row, x, palette, scale, slots)
            axes.text(
                x + SWATCH + AFTER_SWATCH,
                row + 0.5,
                item.text,
                va="center",
                fontsize=TEXT,
                fontfamily=FONT,
                color=palette.ink,
            )
            x += item.width


def _swatch(
    axes: Axes, item: Entry, row: int, x: float, palette: Palette, scale: Scale, slots: int
) -> None:
    if item.kind is None:
        paint_idle_boxes(axes, [box_of(row, x, x + SWATCH)], palette)
        return
    if item.kind is OpKind.FB:
        third = SWATCH / 3
        drawn = [
            Cell(row, x, third, OpKind.F, 0, 0, part_of_overlap=True),
            Cell(row, x + third, 2 * third, OpKind.B, 0, 0, part_of_overlap=True),
        ]
    else:
        drawn = [Cell(row, x, SWATCH, item.kind, item.slot or 0, 0)]
    paint_cells(axes, drawn, palette, scale, slots)
    if item.number:
        paint_numbers(axes, drawn, [item.number], 7.5, palette, slots)
