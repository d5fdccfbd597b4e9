"""What the commands print of a run: plain data for JSON, aligned text for people."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualpipe_ref.plot.palette import Theme, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.files import write_bytes
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.simulate import Network, Timeline
from dualpipe_ref.simulate.critical import critical_path
from dualpipe_ref.simulate.table import number, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plain(value: Any) -> Any:
    """A number as JSON has it: an int where it is whole, else a float; sequences and dicts likewise.

    >>> plain([Fraction(3, 2), Fraction(4, 2), {"F": 1}])
    [1.5, 2, {'F': 1}]
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    return value


def simulation_data(timeline: Timeline, network: Network) -> dict[str, Any]:
    """Makespan, and per rank what it does, waits and holds."""
    schedule, held = timeline.schedule, peaks(timeline.schedule)
    split = timeline.idle_split
    return plain(  # type: ignore[no-any-return]
        {
            "kind": schedule.kind,
            "P": schedule.ranks,
            "m": schedule.microbatches,
            "sends": network.sends,
            "makespan": timeline.makespan,
            "busy": timeline.busy,
            "idle": timeline.idle,
            "idle_start": [idle.start for idle in split],
            "idle_inside": [idle.inside for idle in split],
            "idle_end": [idle.end for idle in split],
            "peak_activations": held.activations,
            "peak_held": held.held,
            "peak_pending_weights": held.pending_weights,
            "critical_path": critical_path(timeline, network).by_kind,
        }
    )


def simulation_text(timeline: Timeline, network: Network) -> str:
    """The same for people."""
    data = simulation_data(timeline, network)
    header = ["rank", "busy", "idle", "(start", "inside", "end)", "peak activations", "peak held"]
    names = [
        "busy",
        "idle",
        "idle_start",
        "idle_inside",
        "idle_end",
        "peak_activations",
        "peak_held",
    ]
    rows = [
        [rank, *values]
        for rank, values in enumerate(zip(*(data[name] for name in names), strict=True))
    ]
    path = ", ".join(
        f"{kind} {number(time)}" for kind, time in sorted(data["critical_path"].items()) if time
    )
    return (
        f"{data['kind']}, P={data['P']}, m={data['m']}: makespan {number(data['makespan'])}\n\n"
        f"{table([header, *rows])}\n\ncritical path: {path}"
    )


def comparison_row(timeline: Timeline) -> dict[str, Any]:
    """One schedule's makespan, idle time and memory, in units that are the same for all schedules.

    Activations are counted in shares of 1/P of the model for one micro-batch, parameters in
    copies of the model over all ranks.
    """
    schedule, held = timeline.schedule, peaks(timeline.schedule)
    placement = schedule.placement
    share = Fraction(schedule.ranks, placement.stages)
    idle = max(timeline.idle)
    return plain(  # type: ignore[no-any-return]
        {
            "kind": schedule.kind,
            "P": schedule.ranks,
            "m": schedule.microbatches,
            "makespan": timeline.makespan,
            "idle": idle,
            "idle_share": float(idle / timeline.makespan),
            "peak_activations": max(held.activations) * share,
            "peak_held": max(held.held) * share,
            "parameters": placement.directions,
        }
    )


def check_same_work(rows: Sequence[dict[str, Any]], schedule: Schedule) -> None:
    """Raise InputError where a schedule's P or m is not that of the first row."""
    for name, value in (("P", schedule.ranks), ("m", schedule.microbatches)):
        if rows and rows[0][name] != value:
            raise InputError(
                "schedules are compared on the same P and m",
                f"{name} = {value} in {schedule.kind}, {rows[0][name]} in {rows[0]['kind']}",
                f"{name} = {rows[0][name]}",
            )


def comparison_text(rows: Sequence[dict[str, Any]]) -> str:
    """Aligned, one schedule a line; idle is the worst rank's."""
    header = [
        "schedule",
        "P",
        "m",
        "makespan",
        "idle",
        "idle %",
        "activations",
        "held",
        "params",
    ]
    body = [
        [
            row["kind"],
            row["P"],
            row["m"],
            row["makespan"],
            row["idle"],
            f"{100 * row['idle_share']:.1f}",
            row["peak_activations"],
            row["peak_held"],
            f"{row['parameters']}x",
        ]
        for row in rows
    ]
    return table([header, *body])


def save_figure(figure: Figure, path: str, theme: Theme) -> None:
    """Write a figure whole or not at all; the ending of `path` chooses the format."""
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in ("svg", "png", "pdf"):
        raise InputError(
            "a drawing is .svg, .png or .pdf", repr(path), f"{os.path.splitext(path)[0]}.svg"
        )
    content = io.BytesIO()
    paper = palette(theme).paper
    figure.savefig(content, format=ending, facecolor=paper, dpi=160, bbox_inches="tight")
    write_bytes(path, content.getvalue())
