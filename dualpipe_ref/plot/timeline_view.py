"""The live view of a schedule: its state, its controls, and the timeline that answers them. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dualpipe_ref.plot.controls import Control, completed, number, select, slider
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.plot.viewer_data import viewer_data
from dualpipe_ref.schedule import KINDS, Schedule, build
from dualpipe_ref.schedule.kinds import DEFAULT_CHUNKS, check_kind
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate

MOST_RANKS = 64
MOST_MICROBATCHES = 512
MOST_CHUNKS = 8
COSTS = ("F", "I", "W", "B", "FB")
# Costs that others give when they are left out: B = I + W, FB = F + B.
DERIVED = ("B", "FB")

DEFAULTS: dict[str, Any] = {
    "kind": "dualpipe",
    "ranks": 8,
    "microbatches": 20,
    "chunks": None,
    **dict.fromkeys(("F", "I", "W"), 1),
    **dict.fromkeys(DERIVED),
    "latency": 0,
    "equal_work": False,
    "choices": None,
    "height": None,
}
# What an InputError calls the parts of this state.
NAMES = {
    "P": "ranks",
    "m": "microbatches",
    "chunks": "chunks",
    "latency": "latency",
    **{name: name for name in COSTS},
}


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """The viewer's data for this state; `InputError` where no schedule has it."""
    timeline, costs = timeline_of(state)
    data = viewer_data(timeline, title=title_of(state), costs=costs)
    height = completed(state, DEFAULTS)["height"]
    return data if height is None else {**data, "height": whole_number("height", height, 40)}


def timeline_of(state: Mapping[str, Any]) -> tuple[Timeline, Costs]:
    """The simulated run, and the costs that it was simulated with."""
    given = completed(state, DEFAULTS)
    numbers: dict[str, Any] = {
        name: exact_number(name, given[name]) for name in COSTS if not _left_out(given, name)
    }
    schedule, costs = _schedule(given), Costs(**numbers)
    if given["equal_work"]:
        costs = costs.per_stage_share(schedule)
    network = Network(latency=exact_number("latency", given["latency"]))
    return simulate(schedule, costs, network), costs


def _left_out(given: Mapping[str, Any], name: str) -> bool:
    return name in DERIVED and given[name] in (None, "")


def _schedule(given: Mapping[str, Any]) -> Schedule:
    kind = check_kind(given["kind"])
    ranks = whole_number("P", given["ranks"], 1, MOST_RANKS)
    microbatches = whole_number("m", given["microbatches"], 1, MOST_MICROBATCHES)
    return build(kind, ranks, microbatches, _chunks(given) if kind == "interleaved" else None)


def _chunks(given: Mapping[str, Any]) -> int:
    chunks = DEFAULT_CHUNKS if given["chunks"] is None else given["chunks"]
    return whole_number("chunks", chunks, 2, MOST_CHUNKS)


def title_of(state: Mapping[str, Any]) -> str:
    """Kind and size, and the costs that are not the usual ones.

    >>> title_of({"kind": "1f1b", "W": "1/2"})
    '1f1b, P = 8, m = 20, W = 1/2'
    >>> title_of({"kind": "interleaved", "chunks": 4})
    'interleaved, P = 8, m = 20, v = 4'
    """
    given = completed(state, DEFAULTS)
    title = f"{given['kind']}, P = {given['ranks']}, m = {given['microbatches']}"
    if given["kind"] == "interleaved":
        title += f", v = {_chunks(given)}"
    unusual = [
        f"{name} = {given[name]}"
        for name in (*COSTS, "latency")
        if given[name] not in (DEFAULTS[name], str(DEFAULTS[name]), "")
    ]
    return ", ".join([title, *unusual])


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    choices = given["choices"] or KINDS
    for kind in choices:
        check_kind(kind)
    cost_help = {"F": "time of a forward", "I": "of a backward for the input", "W": "for weights"}
    if given["equal_work"]:
        cost_help = {name: f"{words}, in 1/P of the model" for name, words in cost_help.items()}
    chunks = slider(
        "chunks",
        "Stages a rank v",
        _chunks(given),
        (2, MOST_CHUNKS),
        "each rank holds v pieces of the model",
        when={"kind": ["interleaved"]},
    )
    return [
        select("kind", "Schedule", given["kind"], dict.fromkeys((*choices, given["kind"]))),
        slider("ranks", "Ranks P", whole_number("P", given["ranks"], 1), (2, 16)),
        slider(
            "microbatches",
            "Micro-batches m",
            whole_number("m", given["microbatches"], 1),
            (1, 64),
            "in one step, both directions together",
        ),
        *([chunks] if "interleaved" in (*choices, given["kind"]) else []),
        *(number(name, name, given[name], 0.1, 0.1, cost_help[name]) for name in ("F", "I", "W")),
        number("FB", "FB", given["FB"], 0.1, 0.1, "of an overlapped pair; empty: F + B"),
        number("latency", "Latency", given["latency"], 0, 0.1, "of every message"),
    ]
