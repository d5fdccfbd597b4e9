"""The published figures, cell for cell, read back from what matplotlib was given to draw.

What should be there is computed here from the released code's op lists, by a walk over unit time
that knows nothing of the package's schedules, engine or cells.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

import numpy
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from dualpipe_ref import Costs, build, simulate
from dualpipe_ref.plot import draw_timeline, palette
from dualpipe_ref.schedule import Chunk, OpKind
from dualpipe_ref.simulate import Timeline

GOLDEN = Path(__file__).parents[1] / "golden"
FIGURES = [
    ("dualpipe", 8, 20, "dualpipe_P8_m20.json"),
    ("dualpipe", 4, 8, "dualpipe_P4_m8.json"),
    ("dualpipev", 4, 10, "dualpipev_P4_m10.json"),
]
WIDTH = {"F": 1, "I": 1, "W": 1, "B": 2, "FB": 3}
Box = tuple[str, int, int, str]  # rank's name, start, end, kind and slot ("F0"), or "overlap"
Number = tuple[str, float, str]  # rank's name, middle of the cell, text


def walk_unit_time(golden: dict[str, Any]) -> list[tuple[int, int, dict[str, Any]]]:
    """(rank, start, op): every rank starts its next op as soon as its inputs are there."""
    ranks, stages = golden["P"], golden["P"] * (2 if golden["kind"] == "dualpipev" else 1)
    done: dict[tuple[str, int, int, int], int] = {}
    place, free = [0] * ranks, [0] * ranks
    started = []

    def chunk(rank: int, of: dict[str, int]) -> tuple[int, int, int]:
        stage = rank if of["dir"] == 0 else stages - 1 - rank
        lane = 0 if golden["kind"] == "dualpipev" else of["dir"]
        return lane, stage, of["mb"]

    def inputs(rank: int, op: dict[str, Any]) -> list[tuple[str, int, int, int]]:
        if op["op"] == "FB":
            halves = ({"op": "F", **op["f"]}, {"op": "B", **op["b"]})
            return [key for half in halves for key in inputs(rank, half)]
        lane, stage, mb = chunk(rank, op)
        if op["op"] == "F":
            return [("F", lane, stage - 1, mb)] if stage else []
        if op["op"] == "W":
            return [("B", lane, stage, mb)]
        return [("B", lane, stage + 1, mb) if stage < stages - 1 else ("F", lane, stage, mb)]

    for now in range(10_000):
        for rank in range(ranks):
            ops = golden["ops"][rank]
            if place[rank] == len(ops) or free[rank] > now:
                continue
            op = ops[place[rank]]
            if any(done.get(key, now + 1) > now for key in inputs(rank, op)):
                continue
            started.append((rank, now, op))
            place[rank] += 1
            free[rank] = now + WIDTH[op["op"]]
            if op["op"] in ("F", "FB"):
                done["F", *chunk(rank, op.get("f", op))] = free[rank]
            if op["op"] in ("B", "I", "FB"):
                done["B", *chunk(rank, op.get("b", op))] = free[rank]
        if all(place[rank] == len(golden["ops"][rank]) for rank in range(ranks)):
            return started
    raise AssertionError("the golden ops never end")


def expected_marks(golden: dict[str, Any]) -> tuple[set[Box], set[Number]]:
    moved = golden["m"] // 2 if golden["kind"] == "dualpipe" else 0
    boxes: set[Box] = set()
    numbers: set[Number] = set()

    def cell(rank: int, start: int, kind: str, of: dict[str, int]) -> None:
        end = start + WIDTH[kind]
        boxes.add((f"rank {rank}", start, end, f"{kind}{of['dir']}"))
        numbers.add((f"rank {rank}", (start + end) / 2, str(of["mb"] + moved * of["dir"])))

    for rank, start, op in walk_unit_time(golden):
        if op["op"] == "FB":
            cell(rank, start, "F", op["f"])
            cell(rank, start + 1, "B", op["b"])
            boxes.add((f"rank {rank}", start, start + 3, "overlap"))
        else:
            cell(rank, start, op["op"], op)
    return boxes, numbers


def drawn_marks(axes: Axes) -> tuple[list[Box], list[Number]]:
    """Boxes and numbers by the vertices, colours, texts and tick labels that the axes hold."""
    rows = {
        int(tick): label.get_text()
        for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    }
    colours = palette("light")
    names = {
        colours.fill(kind, slot).lower(): f"{kind}{slot}" for kind in OpKind for slot in (0, 1)
    }
    boxes = []
    for collection in axes.collections:
        assert isinstance(collection, PolyCollection)
        if collection.get_gid() in ("idle", "bars"):
            continue
        face: Any = collection.get_facecolor()
        what = names[to_hex(face[0])] if len(face) else "overlap"
        for path in collection.get_paths():
            box = path.get_extents()
            start, end = round(box.x0), round(box.x1)
            assert (start, end) == pytest.approx((box.x0, box.x1))
            assert int(box.y0) == int(box.y1)
            boxes.append((rows[int(box.y0)], start, end, what))
    numbers = [
        (rows[int(text.get_position()[1])], float(text.get_position()[0]), text.get_text())
        for text in axes.texts
    ]
    return boxes, numbers


def differences(axes: Axes, golden: dict[str, Any]) -> list[Any]:
    """What is drawn too much, too little or twice."""
    found: list[Any] = []
    pairs: Any = zip(expected_marks(golden), drawn_marks(axes), strict=True)
    for expected, drawn in pairs:
        found += sorted(expected ^ set(drawn))
        found += [("twice", len(drawn) - len(set(drawn)))] if len(drawn) > len(set(drawn)) else []
    return found


def published(kind: str, ranks: int, microbatches: int) -> Timeline:
    return simulate(build(kind, ranks, microbatches), Costs(F=1, I=1, W=1, B=2, FB=3))


def golden_of(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / name).read_text())
    return loaded


@pytest.mark.parametrize(("kind", "ranks", "microbatches", "name"), FIGURES)
def test_published_figure(kind: str, ranks: int, microbatches: int, name: str) -> None:
    axes = draw_timeline(published(kind, ranks, microbatches)).axes[0]
    assert differences(axes, golden_of(name)) == []


def test_the_published_figure_is_66_long_and_numbers_each_direction() -> None:
    """Numbers that one can check against the figure by eye."""
    axes = draw_timeline(published("dualpipe", 8, 20)).axes[0]
    _, numbers = drawn_marks(axes)
    first_row = [text for rank, _, text in sorted(numbers, key=lambda n: n[1]) if rank == "rank 0"]
    assert first_row[:12] == ["0", "1", "2", "3", "4", "5", "6", "10", "10", "10", "11", "11"]
    assert axes.get_xticklabels()[-1].get_text() == "66"
    assert {int(text) for _, _, text in numbers} == set(range(20))


# Planted faults: each must show.


def test_a_shifted_op_is_caught() -> None:
    timeline = published("dualpipe", 8, 20)
    starts, ends = [list(row) for row in timeline.starts], [list(row) for row in timeline.ends]
    starts[0][-1] += 1
    ends[0][-1] += 1
    moved = replace(timeline, starts=tuple(map(tuple, starts)), ends=tuple(map(tuple, ends)))
    assert differences(draw_timeline(moved).axes[0], golden_of("dualpipe_P8_m20.json"))


def test_a_renumbered_op_is_caught() -> None:
    timeline = published("dualpipe", 8, 20)
    ops = [list(row) for row in timeline.schedule.ops]
    ops[3][0] = ops[3][0]._replace(forward=Chunk(0, 9))
    schedule = replace(timeline.schedule, ops=tuple(map(tuple, ops)))
    wrong = replace(timeline, schedule=schedule)
    assert len(differences(draw_timeline(wrong).axes[0], golden_of("dualpipe_P8_m20.json"))) == 2


def test_a_wrong_offset_is_caught() -> None:
    axes = draw_timeline(published("dualpipe", 8, 20), microbatch_offset=0).axes[0]
    assert differences(axes, golden_of("dualpipe_P8_m20.json"))


def test_tampered_marks_are_caught() -> None:
    """Faults in the drawing itself: a moved box, a moved number, a lost border."""
    golden = golden_of("dualpipe_P8_m20.json")
    axes = draw_timeline(published("dualpipe", 8, 20)).axes[0]
    box = next(c for c in axes.collections if c.get_gid() == "F0").get_paths()[0]
    vertices: Any = box.vertices
    vertices[:, 0] += 1
    assert len(differences(axes, golden)) >= 2
    vertices[:, 0] -= 1
    assert differences(axes, golden) == []
    axes.texts[0].set_position((3.5, 0.5))
    assert differences(axes, golden)
    axes.texts[0].set_position((0.5, 0.5))
    next(c for c in axes.collections if c.get_gid() == "overlap").remove()
    assert differences(axes, golden)


def test_a_wrong_slot_is_caught() -> None:
    """Colours are part of what is read back: swapping two fills shows."""
    axes = draw_timeline(published("dualpipev", 4, 10)).axes[0]
    one, other = (c for c in axes.collections if c.get_gid() in ("F0", "F1"))
    face: Any = numpy.array(one.get_facecolor())
    one.set_facecolor(other.get_facecolor())
    other.set_facecolor(face)
    assert differences(axes, golden_of("dualpipev_P4_m10.json"))
