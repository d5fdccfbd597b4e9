"""A timeline as JSON for the viewer in a page or a notebook (`web/viewer.js`). Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dualpipe_ref.plot.cells import forward_share
from dualpipe_ref.plot.exact import TimeTable, time_text
from dualpipe_ref.plot.highlight import Highlight, as_highlight
from dualpipe_ref.plot.palette import BARS, LABELS, Palette, palette
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Chunk, OpKind, Schedule
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.schedule.steps import steps_of_ranks
from dualpipe_ref.simulate.costs import Costs
from dualpipe_ref.simulate.timeline import Timeline

MOST_OPS = 20_000  # a page with more of them takes long to load, and no cell of it could be seen
KINDS = tuple(OpKind)
NOT_THERE = -1


def viewer_data(
    timeline: Timeline,
    *,
    title: str = "",
    highlight: Highlight | Iterable[Sequence[Any]] | None = None,
    costs: Costs | None = None,
) -> dict[str, Any]:
    """What the viewer needs of `timeline`, ready for `json.dumps`: about 50 bytes an op.

    Times are places in the table `times` (floats for drawing; `exact` has the text where it says
    more). `ops[rank]` holds columns: `kinds` are digits that count in `kinds`; `forward` and
    `backward` are slot * n + micro-batch or -1; `starts` and `ends` end where a rank stopped early;
    `steps` are digits where the rank runs DualPipe's published order; `needs` are
    (op, rank, op there, arrival) for each message that an op waits for, with -1 for an op or an
    arrival that never happens. Besides them an op waits for the one before it on its rank.

    `costs` share the width of an FB among its halves, as in `draw_timeline`. Raises `InputError`
    for more than 20,000 ops, costs that do not fit, and a highlight of an op that is not there.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> data = viewer_data(simulate(build("1f1b", ranks=2, microbatches=1), Costs(F=2)))
    >>> data["summary"]
    'makespan 8, idle 4 on every rank (50.0 %), activations held at most 1'
    >>> data["times"], data["ops"][1]
    ([0, 2, 4, 6, 8], {'kinds': '03', 'forward': [0, -1], 'backward': [-1, 0], \
'starts': [1, 2], 'ends': [2, 3], 'steps': '', 'needs': [[0, 0, 0, 1]]})
    """
    schedule = timeline.schedule
    _check_size(schedule)
    costs = costs or Costs(F=1, B=2)
    costs.check_fits(schedule)
    table = TimeTable((0, timeline.makespan, *_moments(timeline)))
    return {
        "version": 1,
        "title": title or f"{schedule.kind}, P = {schedule.ranks}, m = {schedule.microbatches}",
        "summary": _summary(timeline),
        "unit": timeline.unit,
        **_sizes(schedule),
        "makespan": table.place(timeline.makespan),
        "idle": [time_text(idle) for idle in timeline.idle],
        "peaks": _peaks(timeline),
        "times": table.values,
        "exact": table.exact,
        "kinds": _kinds(),
        "ops": _ops(timeline, table),
        "shares": _shares(schedule, costs),
        "stopped": _stopped(timeline, costs),
        "highlight": _highlight(as_highlight(highlight, schedule)),
        "palettes": {
            name: _colours(palette(name), schedule.placement.slots) for name in ("light", "dark")
        },
    }


def _check_size(schedule: Schedule) -> None:
    count, ranks = sum(map(len, schedule.ops)), schedule.ranks
    if count > MOST_OPS:
        most = schedule.microbatches * MOST_OPS // count
        raise InputError(
            f"the viewer shows at most {MOST_OPS:,} ops (draw_timeline draws any number)",
            f"{count:,} ops for P = {ranks}, m = {schedule.microbatches}",
            f"m = {most - most % (2 * ranks) or most or 1}",
        )


def _moments(timeline: Timeline) -> Iterable[Any]:
    for starts, ends in zip(timeline.starts, timeline.ends, strict=True):
        yield from starts
        yield from ends
    yield from (transfer.end for transfer in timeline.transfers)


def _sizes(schedule: Schedule) -> dict[str, Any]:
    """Numbers drawn in the cells of direction d are moved by d * `offset`."""
    n, placement = schedule.microbatches_per_direction, schedule.placement
    return {
        "ranks": schedule.ranks,
        "slots": placement.slots,
        "microbatches": n,
        "offset": n if placement.directions > 1 else 0,
        "homes": [[list(home) for home in homes] for homes in placement.homes],
    }


def _summary(timeline: Timeline) -> str:
    ran, planned = sum(map(len, timeline.starts)), sum(map(len, timeline.schedule.ops))
    if ran < planned:
        return f"stops after {ran} of {planned} ops, at {time_text(timeline.makespan)}"
    unit = f" {timeline.unit}" if timeline.unit else ""
    whole = float(timeline.makespan) * timeline.schedule.ranks
    share = 100 * float(sum(timeline.idle)) / whole if whole else 0.0
    most, least = max(timeline.idle), min(timeline.idle)
    idle = f"{time_text(most)}{unit} on every rank"
    if most != least:
        idle = f"{time_text(least)} to {time_text(most)}{unit} a rank"
    return (
        f"makespan {time_text(timeline.makespan)}{unit}, idle {idle} ({share:.1f} %),"
        f" activations held at most {max(_peaks(timeline))}"
    )


def _peaks(timeline: Timeline) -> list[int]:
    """The most activations that each rank held at once, in what ran."""
    ranks = zip(timeline.schedule.ops, timeline.starts, strict=True)
    return [
        max((during.activations for during, _ in occupancy(ops[: len(starts)])), default=0)
        for ops, starts in ranks
    ]


def _kinds() -> list[dict[str, Any]]:
    """Name, words and bars of every kind; a pair has the bars of its halves."""
    return [
        {
            "name": kind.value,
            "label": LABELS[kind],
            **(BARS[kind]._asdict() if kind in BARS else {}),
        }
        for kind in KINDS
    ]


def _ops(timeline: Timeline, table: TimeTable) -> list[dict[str, Any]]:
    schedule = timeline.schedule
    n, steps, needs = (
        schedule.microbatches_per_direction,
        steps_of_ranks(schedule),
        _needs(timeline, table),
    )

    def number(chunk: Chunk | None) -> int:
        return chunk.slot * n + chunk.microbatch if chunk else NOT_THERE

    return [
        {
            "kinds": "".join(str(KINDS.index(op.kind)) for op in ops),
            "forward": [number(op.forward) for op in ops],
            "backward": [number(op.backward) for op in ops],
            "starts": [table.place(time) for time in timeline.starts[rank]],
            "ends": [table.place(time) for time in timeline.ends[rank]],
            "steps": "".join(map(str, steps[rank])),
            "needs": needs[rank],
        }
        for rank, ops in enumerate(schedule.ops)
    ]


def _needs(timeline: Timeline, table: TimeTable) -> list[list[list[int]]]:
    """For each rank the messages that its ops wait for: the same that the simulator waits for."""
    schedule = timeline.schedule
    numbering = schedule.numbering
    arrivals = {
        numbering.message_index(transfer.message): table.place(transfer.end)
        for transfer in timeline.transfers
    }
    made_by = {
        message: index
        for ops in schedule.flat_ops
        for index, (_, _, _, _, emits) in enumerate(ops)
        for message in emits
    }
    return [
        [
            [
                index,
                numbering.wires[message // numbering.n].source,
                made_by.get(message, NOT_THERE),
                arrivals.get(message, NOT_THERE),
            ]
            for index, (_, _, _, awaits, _) in enumerate(ops)
            for message in awaits
        ]
        for ops in schedule.flat_ops
    ]


def _shares(schedule: Schedule, costs: Costs) -> list[list[list[float]]]:
    """The forward's part of an FB's width, by rank, forward slot and backward slot."""
    if not any(op.kind is OpKind.FB for ops in schedule.ops for op in ops):
        return []
    slots = range(schedule.placement.slots)
    return [
        [
            [round(float(forward_share(schedule, rank, f, b, costs)), 6) for b in slots]
            for f in slots
        ]
        for rank in range(schedule.ranks)
    ]


def _stopped(timeline: Timeline, costs: Costs) -> list[list[float]]:
    """(rank, time that its next op would take) of the ranks that stopped before their end."""
    schedule = timeline.schedule
    return [
        [rank, float(costs.durations(schedule, rank)[len(starts)])]
        for rank, starts in enumerate(timeline.starts)
        if len(starts) < len(schedule.ops[rank])
    ]


def _highlight(wanted: Highlight) -> dict[str, Any]:
    return {
        "ops": [list(place) for place in wanted.ops],
        "arrows": [[list(end) for end in arrow] for arrow in wanted.arrows],
    }


def _colours(colours: Palette, slots: int) -> dict[str, Any]:
    """The colours of a theme; `fills` and `inks` by kind and slot, in the order of `kinds`."""
    fills = [[colours.fill(kind, slot, slots) for slot in range(slots)] for kind in KINDS]
    plain = ("ink", "muted", "paper", "idle", "border", "highlight")
    return {
        **{name: getattr(colours, name) for name in plain},
        "fills": fills,
        "inks": [[colours.ink_on(fill) for fill in row] for row in fills],
    }
