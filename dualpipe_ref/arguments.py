"""What the commands read from their command line: schedules, costs, the network, and files that they write."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from typing import Any

from dualpipe_ref.schedule import KINDS, InputError, Schedule, build
from dualpipe_ref.schedule.errors import shortened
from dualpipe_ref.schedule.formats import load
from dualpipe_ref.schedule.kinds import check_kind
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.schedule.violations import VerificationError
from dualpipe_ref.simulate import Costs, Network

COST_NAMES = ("F", "I", "W", "B", "FB")


def add_schedule_options(
    parser: argparse.ArgumentParser, *, files: bool = True, positional: bool = True
) -> None:
    """NAME (or FILE.json), --ranks, --microbatches and --chunks."""
    if positional:
        what = "NAME|FILE.json" if files else "NAME"
        parser.add_argument("schedule", metavar=what, help=", ".join(KINDS))
    parser.add_argument("--ranks", metavar="P")
    parser.add_argument("--microbatches", metavar="M", help="in one step, both directions together")
    parser.add_argument("--chunks", metavar="V", help="stages a rank (interleaved; default 2)")


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """--cost, --latency, --bandwidth and --sends."""
    parser.add_argument(
        "--cost",
        action="append",
        default=[],
        metavar="OP=TIME",
        help="time of F, I, W, B or FB: 1, 2.2, 11/5, or one a stage as 1,1,2,1"
        " (default F = I = W = 1, B = I + W, FB = F + B); may be given several times",
    )
    parser.add_argument(
        "--latency", default="0", metavar="TIME", help="of every message (default 0)"
    )
    parser.add_argument(
        "--bandwidth", metavar="RATE", help="messages per unit of time (default: infinite)"
    )
    parser.add_argument(
        "--sends",
        default="eager",
        metavar="eager|rendezvous",
        help="eager: a send never blocks (default); rendezvous: it blocks until received",
    )


def load_schedule(options: argparse.Namespace) -> Schedule:
    """The schedule that the options name: built, or read from a file."""
    name = options.schedule
    if name.endswith(".json") or (name not in KINDS and os.path.exists(name)):
        loaded = load(name)
        if loaded.violations:
            raise VerificationError(loaded.violations)
        _check_same_size(name, loaded.schedule, options)
        return loaded.schedule
    check_kind(name)
    for option in ("ranks", "microbatches"):
        if getattr(options, option) is None:
            raise InputError(f"{name} needs --ranks and --microbatches", f"no --{option}")
    chunks = None if options.chunks is None else _whole("chunks", options.chunks)
    return build(
        name,
        _whole("ranks", options.ranks),
        _whole("microbatches", options.microbatches),
        chunks,
    )


def _check_same_size(name: str, schedule: Schedule, options: argparse.Namespace) -> None:
    """Refuse sizes beside a file that are not the file's."""
    own = {"ranks": schedule.ranks, "microbatches": schedule.microbatches}
    for option, value in own.items():
        given = getattr(options, option)
        if given is not None and _whole(option, given) != value:
            raise InputError(
                "a file brings its own sizes",
                f"--{option} {given} beside {shortened(name)}",
                f"--{option} {value}",
            )


def checked_schedule(options: argparse.Namespace) -> Schedule:
    """As `load_schedule`; a file's schedule is verified first. Raises VerificationError."""
    schedule = load_schedule(options)
    if options.schedule in KINDS:
        return schedule  # the package's own orders are verified by its tests
    return verify(schedule, rendezvous=getattr(options, "sends", "eager") == "rendezvous")


def costs_from(options: argparse.Namespace) -> Costs:
    """Exact costs from `--cost OP=TIME`."""
    given: dict[str, Any] = {}
    for text in options.cost:
        name, equals, value = text.partition("=")
        if not equals or name not in COST_NAMES:
            raise InputError(
                "--cost takes OP=TIME with OP one of F, I, W, B, FB", repr(text), "F=1"
            )
        if name in given:
            raise InputError("--cost takes each op once", f"{name} twice", f"{name}={value}")
        numbers = tuple(_exact(name, part) for part in value.split(","))
        given[name] = numbers if len(numbers) > 1 else numbers[0]
    return Costs(**given)


def network_from(options: argparse.Namespace) -> Network:
    """Latency, bandwidth and the way of sending."""
    bandwidth = None if options.bandwidth is None else _exact("bandwidth", options.bandwidth)
    return Network(_exact("latency", options.latency), bandwidth, options.sends)


def _exact(name: str, text: str) -> Fraction:
    try:
        exponent = text.lower().partition("e")[2]
        # A number that takes longer to write down than this step is hardly meant.
        if len(text) > 40 or abs(int(exponent or "0")) > 30:
            raise ValueError
        return Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{name} is a number such as 1, 2.2 or 11/5",
            f"{name} = {shortened(text)}",
            f"{name} = 1",
        ) from None


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{name} is a whole number", f"{name} = {shortened(text)}", f"{name} = 4"
        ) from None
