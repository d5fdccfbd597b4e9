"""The `dualpipe-ref` command. `schedule`, `verify`, `simulate`, `compare` and `trace` need only Python."""

from __future__ import annotations

import argparse
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
    schedule_commands,
    search_command,
    train_command,
)
from dualpipe_ref.schedule import InputError
from dualpipe_ref.schedule.violations import VerificationError
from dualpipe_ref.schedule_commands import add_format, print_json

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

    schedule_commands.add_commands(command)

    made = command("doctor", _doctor, "what this machine can run, and how to get the next tier")
    add_format(made)

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


def _doctor(options: argparse.Namespace) -> int:
    from dualpipe_ref import doctor

    tiers = doctor.examine()
    if options.format == "json":
        print_json([tier._asdict() for tier in tiers])
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
