"""The commands that show a schedule: `schedule`, `verify`, `simulate`, `plot`, `trace`, `compare`. All but `plot` need only Python."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from dualpipe_ref import report
from dualpipe_ref.arguments import (
    add_cost_options,
    add_schedule_options,
    checked_schedule,
    costs_from,
    load_schedule,
    network_from,
)
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.check_bounds import check_order
from dualpipe_ref.schedule.formats import load, to_dict
from dualpipe_ref.schedule.torch_csv import to_csv
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import VerificationError, Violation
from dualpipe_ref.simulate import simulate

# Makes a command: its name, what it runs, and a line about it.
Command = Callable[[str, Callable[[Any], int], str], argparse.ArgumentParser]


def add_commands(command: Command) -> None:
    """Add all of them, with their options."""
    made = command("schedule", _schedule, "print the order of work of every rank")
    add_schedule_options(made, files=False)
    add_format(made, "csv")

    made = command("verify", _verify, "check a schedule file against every rule")
    made.add_argument("file", metavar="FILE.json")
    made.add_argument(
        "--sends",
        choices=["eager", "rendezvous"],
        default="rendezvous",
        help="how sends behave in the deadlock check; rendezvous, the stricter, is the default",
    )
    made.add_argument(
        "--max-activations", type=int, metavar="N", help="chunks that a rank may hold"
    )
    made.add_argument(
        "--max-pending-weights", type=int, metavar="N", help="W that may wait on a rank"
    )
    made.add_argument(
        "--published", action="store_true", help="ask also for the published order, op for op"
    )
    made.add_argument(
        "--draw",
        metavar="FILE",
        help="draw the first broken rule, if there is one (SVG, PNG or PDF)",
    )

    made = command("simulate", _simulate, "how long a schedule takes and what it holds")
    add_schedule_options(made)
    add_cost_options(made)
    add_format(made)

    made = command("plot", _plot, "draw a schedule's timeline (SVG, PNG or PDF)")
    add_schedule_options(made)
    add_cost_options(made)
    made.add_argument("--theme", choices=["light", "dark", "print"], default="light")
    made.add_argument("--out", metavar="FILE", help="default: KIND_P_m.svg")

    made = command("trace", _trace, "write a timeline that ui.perfetto.dev opens")
    add_schedule_options(made)
    add_cost_options(made)
    made.add_argument("--out", metavar="FILE", help="default: KIND_P_m.trace.json")

    made = command("compare", _compare, "several schedules on the same physical work, side by side")
    made.add_argument("schedules", nargs="+", metavar="NAME|FILE.json")
    add_schedule_options(made, positional=False)
    add_cost_options(made)
    add_format(made)


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """`--format`: text, json, and what more a command can print."""
    parser.add_argument("--format", choices=["text", "json", *more], default="text")


def print_json(data: object) -> None:
    """Ops of a schedule in one line, all else with indentation."""
    print(json.dumps(data, indent=None if isinstance(data, dict) and "ops" in data else 2))


def _print_path(path: str, text: str) -> None:
    """A path may hold bytes that are no text."""
    print(path.encode(errors="backslashreplace").decode() + text)


def _schedule(options: argparse.Namespace) -> int:
    schedule = load_schedule(options)
    if options.format == "json":
        print_json(to_dict(schedule))
    elif options.format == "csv":
        print(to_csv(schedule), end="")
    else:
        for rank, ops in enumerate(schedule.ops):
            print(f"rank {rank}: {' '.join(map(str, ops))}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    loaded = load(options.file)
    found = find_violations(
        loaded.schedule,
        rendezvous=options.sends == "rendezvous",
        max_activations=options.max_activations,
        max_pending_weights=options.max_pending_weights,
    )
    found = (*loaded.violations, *found)
    if options.published and not found:
        found = tuple(check_order(loaded.schedule, _published(loaded.schedule)))
    if found:
        if options.draw:
            _draw_violation(loaded.schedule, found[0], options.draw)
        raise VerificationError(found[:20])
    _print_path(options.file, f": {loaded.schedule!r} keeps every rule")
    return 0


def _draw_violation(schedule: Schedule, violation: Violation, out: str) -> None:
    from dualpipe_ref.plot import draw_violation

    report.save_figure(draw_violation(schedule, violation), out, "light")
    _print_path(out, "")


def _published(schedule: Schedule) -> Schedule:
    return build(schedule.kind, schedule.ranks, schedule.microbatches, schedule.placement.slots)


def _simulate(options: argparse.Namespace) -> int:
    schedule = checked_schedule(options)
    network = network_from(options)
    timeline = simulate(schedule, costs_from(options), network)
    if options.format == "json":
        print_json(report.simulation_data(timeline, network))
    else:
        print(report.simulation_text(timeline, network))
    return 0


def _plot(options: argparse.Namespace) -> int:
    from dualpipe_ref.plot import draw_timeline

    schedule = checked_schedule(options)
    timeline = simulate(schedule, costs_from(options), network_from(options))
    out = _out(options, schedule, "svg")
    report.save_figure(draw_timeline(timeline, theme=options.theme), out, options.theme)
    _print_path(out, "")
    return 0


def _out(options: argparse.Namespace, schedule: Schedule, ending: str) -> str:
    if options.out is None:
        return f"{schedule.kind}_P{schedule.ranks}_m{schedule.microbatches}.{ending}"
    return str(options.out)


def _trace(options: argparse.Namespace) -> int:
    from dualpipe_ref.plot.trace import write_trace

    schedule = checked_schedule(options)
    timeline = simulate(schedule, costs_from(options), network_from(options))
    out = _out(options, schedule, "trace.json")
    write_trace(timeline, out)
    _print_path(out, ": open it at https://ui.perfetto.dev")
    return 0


def _compare(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    chunks = options.chunks
    for name in options.schedules:
        # Only interleaved leaves the number of stages a rank open.
        options.schedule, options.chunks = name, chunks if name == "interleaved" else None
        schedule = checked_schedule(options)
        report.check_same_work(rows, schedule)
        costs = costs_from(options).per_stage_share(schedule)
        rows.append(report.comparison_row(simulate(schedule, costs, network_from(options))))
    if options.format == "json":
        print_json(rows)
    else:
        print(report.comparison_text(rows))
    return 0
