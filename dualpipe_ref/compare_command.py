"""`dualpipe-ref compare-trace`: a recorded run against the simulator."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dualpipe_ref.plot.trace import write_trace
from dualpipe_ref.runtime.recorded import RecordedRun, RecordedStep, read_run
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.fit import Comparison, compare
from dualpipe_ref.simulate.table import table

MOST_WAITS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "file", metavar="FILE.json", help="as RunTrace.write of the runtime leaves it"
    )
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument(
        "--out-trace", metavar="FILE", help="write the middle held-out step for ui.perfetto.dev"
    )


def run(options: argparse.Namespace) -> int:
    """0 where every step keeps its schedule's order; a `VerificationError` (1) says where one does not."""
    recorded = read_run(options.file)
    comparison = compare(recorded.timelines())
    data = comparison_data(recorded, comparison)
    print(json.dumps(data, indent=2) if options.format == "json" else comparison_text(data))
    if options.out_trace:
        write_trace(comparison.middle, options.out_trace)
    return 0


def comparison_data(recorded: RecordedRun, comparison: Comparison) -> dict[str, Any]:
    """All that is printed, in ns; a difference is of the prediction, in percent of what was measured."""
    schedule, found = comparison.schedule, comparison.fit
    costs = {kind.value: _floats(getattr(found.costs, kind)) for kind in found.kinds}
    return {
        "kind": schedule.kind,
        "P": schedule.ranks,
        "m": schedule.microbatches,
        "settings": dict(recorded.settings),
        "steps": len(recorded.steps),
        "left_out": comparison.left_out,
        "clock_error": max(recorded.clock_errors, default=0),
        "costs": costs,
        "latency": float(found.latency),
        "steady": float(comparison.steady.makespan),
        "predicted": float(comparison.predicted),
        "measured": float(comparison.measured),
        "difference_percent": 100 * comparison.difference,
        "held_out": [float(one.makespan) for one in comparison.held_out],
        "idle_predicted": _floats(comparison.predicted_idle),
        "idle_measured": _floats(comparison.idle),
        "longest_waits": longest_waits(recorded.steps[comparison.left_out :]),
    }


def _floats(values: tuple[Number, ...]) -> list[float]:
    return [float(value) for value in values]


def longest_waits(steps: tuple[RecordedStep, ...]) -> list[dict[str, Any]]:
    """The messages whose receivers stood still longest for them, by the mean over the steps."""
    total: dict[str, int] = {}
    for step in steps:
        for one in step.passages:
            name = str(one.message)
            total[name] = total.get(name, 0) + one.here - one.asked
    longest = sorted(total, key=lambda name: -total[name])[:MOST_WAITS]
    return [{"message": name, "wait": total[name] / len(steps)} for name in longest]


def comparison_text(data: dict[str, Any]) -> str:
    """The same for people, in ms."""
    costs = [
        [f"stage {stage}", *(_ms(values[stage]) for values in data["costs"].values())]
        for stage in range(len(next(iter(data["costs"].values()))))
    ]
    idle = zip(data["idle_predicted"], data["idle_measured"], strict=True)
    ranks = [[str(rank), _ms(one), _ms(other)] for rank, (one, other) in enumerate(idle)]
    waits = [[_ms(one["wait"]), one["message"]] for one in data["longest_waits"]]
    parts = [
        f"{data['kind']}, P={data['P']}, m={data['m']}: all {data['steps']} steps keep the order of the schedule"
        + (" (the first is left out below)" if data["left_out"] else ""),
        f"fitted to every other step, in ms:\n{table([['', *data['costs']], *costs])}",
        f"latency {_ms(data['latency'])} ms, clocks compared to {_ms(data['clock_error'])} ms",
        f"makespan with every op at its mean {_ms(data['steady'])} ms; ops vary, and ranks wait for the slower one:",
        f"makespan predicted {_ms(data['predicted'])} ms, measured {_ms(data['measured'])} ms"
        f" (median of {len(data['held_out'])} held-out steps), {data['difference_percent']:+.2f} %",
        f"held-out steps, in ms: {' '.join(map(_ms, data['held_out']))}",
        f"idle, in ms:\n{table([['rank', 'predicted', 'measured'], *ranks])}",
        "longest waits, mean in ms:\n" + "\n".join("  ".join(one) for one in waits),
    ]
    return "\n\n".join(parts)


def _ms(time: float) -> str:
    return f"{time / 1e6:.3f}"
