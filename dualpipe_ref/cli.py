"""The `dualpipe-ref` command. `schedule`, `verify`, `simulate`, `compare` and `trace` need only Python."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from dualpipe_ref import (
    __version__,
    compare_command,
    grade_command,
    plan_command,
    report,
    search_command,
    train_command,
)
from dualpipe_ref.arguments import (
    add_cost_options,
    add_schedule_options,
    checked_schedule,
    costs_from,
    load_schedule,
    network_from,
)
from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.schedule.check_bounds import check_order
from dualpipe_ref.schedule.formats import load, to_dict
from dualpipe_ref.schedule.torch_csv import to_csv
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import VerificationError, Violation
from dualpipe_ref.simulate import simulate

BENCHES = [
    "hopper",
    "kernels",
    "memory",
    "plan",
    "protocol",
    "schedule",
    "search",
    "split",
    "step",
    "trace",
    "train",
]


class _Parser(argparse.ArgumentParser):
    """Errors in one line, like every other error of the command."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Python 3.11 takes the `--` of `--name=--` for the end of options, and leaves an empty list as the value.
        given = sys.argv[1:] if args is None else args
        for one in given:
            if one.startswith("--") and one.endswith("=--"):
                self.error(f"argument {one.removesuffix('=--')}: expected one argument")
        return super().parse_known_args(args, namespace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a schedule or an answer that fails, 2 input that breaks a rule.

    >>> main(["simulate", "1f1b", "--ranks", "2", "--microbatches", "2"])
    1f1b, P=2, m=2: makespan 9
    <BLANKLINE>
    rank  busy  idle  (start  inside  end)  peak activations  peak held
       0     6     3       0       3    0                  2          2
       1     6     3       1       0    2                  1          1
    <BLANKLINE>
    critical path: B 6, F 3
    0
    """
    try:
        try:
            options = _parser().parse_args(arguments)
            options.arguments = list(sys.argv[1:] if arguments is None else arguments)
            status: int = options.run(options)
        finally:  # also where --help leaves by SystemExit
            if sys.stdout is not None:
                sys.stdout.flush()
        return status
    except (InputError, ImportError) as error:
        return _complain(str(error).replace("\n", "\\n"), 2)
    except VerificationError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        _drop_output()
        return 0  # the reader of our output (head, say) has seen enough
    except OSError as error:
        _drop_output()
        return _complain(f"the output cannot be written: {error.strerror}", 2)


def _complain(message: str, status: int) -> int:
    print(f"dualpipe-ref: {message}", file=sys.stderr)
    return status


def _drop_output() -> None:
    """What is still buffered goes nowhere: Python would try to write it again on exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_path(path: str, text: str) -> None:
    """A path may hold bytes that are no text."""
    print(path.encode(errors="backslashreplace").decode() + text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dualpipe-ref",
        description="Pipeline schedules from GPipe to DualPipe: made, verified, simulated, drawn.",
    )
    parser.add_argument("--version", action="version", version=f"dualpipe-ref {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Any], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(run=run)
        return made

    made = command("schedule", _schedule, "print the order of work of every rank")
    add_schedule_options(made, files=False)
    _add_format(made, "csv")

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
    _add_format(made)

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
    _add_format(made)

    made = command("doctor", _doctor, "what this machine can run, and how to get the next tier")
    _add_format(made)

    for name, module, text in (
        ("compare-trace", compare_command, "a recorded run against the simulator"),
        ("grade", grade_command, "judge your answers to the book's exercises"),
        ("train", train_command, "train a real model on real text by any schedule"),
        ("search", search_command, "the fastest order for a small pipeline"),
        ("plan", plan_command, "a training step of a model on a cluster, explained"),
    ):
        module.add_options(command(name, module.run, text))

    made = command("bench", _bench, "measure and write book/results/NAME.json")
    made.add_argument("name", choices=BENCHES)
    made.add_argument("--out", metavar="FILE")
    made.add_argument("--dry-run", action="store_true", help="hopper: all of it in the emulator")
    return parser


def _add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    parser.add_argument("--format", choices=["text", "json", *more], default="text")


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=None if isinstance(data, dict) and "ops" in data else 2))


def _schedule(options: argparse.Namespace) -> int:
    schedule = load_schedule(options)
    if options.format == "json":
        _print_json(to_dict(schedule))
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
        _print_json(report.simulation_data(timeline, network))
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
        _print_json(rows)
    else:
        print(report.comparison_text(rows))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from dualpipe_ref import doctor

    tiers = doctor.examine()
    if options.format == "json":
        _print_json([tier._asdict() for tier in tiers])
    else:
        print(doctor.as_text(tiers))
    return 0


def _bench(options: argparse.Namespace) -> int:
    module = {"memory": "footprint"}.get(options.name, options.name)
    main = import_module(f"dualpipe_ref.bench.{module}").main
    if options.dry_run and options.name != "hopper":
        raise InputError("hopper has a dry run", f"bench {options.name}", "no --dry-run")
    status: int = main(options.out, dry_run=True) if options.dry_run else main(options.out)
    return status
