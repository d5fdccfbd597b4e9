"""`dualpipe-ref search`: the fastest order for a small pipeline, as a schedule file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dualpipe_ref.arguments import costs_from
from dualpipe_ref.report import plain
from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.schedule.formats import to_dict
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.search import PLACEMENTS, Problem

if TYPE_CHECKING:
    from dualpipe_ref.search import Found


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--ranks", metavar="P", type=int, required=True)
    parser.add_argument(
        "--microbatches", metavar="M", type=int, required=True, help="in one step, all directions"
    )
    parser.add_argument(
        "--placement", choices=PLACEMENTS, default="linear", help="who holds which stage"
    )
    parser.add_argument("--chunks", metavar="V", type=int, default=2, help="stages a rank (looped)")
    parser.add_argument(
        "--backward",
        choices=["split", "whole"],
        default="split",
        help="I and W apart (default), or one B",
    )
    parser.add_argument(
        "--max-activations", metavar="N", type=int, help="chunks a rank holds until their I ends"
    )
    parser.add_argument(
        "--max-held", metavar="N", type=int, help="chunks a rank holds until their W ends"
    )
    parser.add_argument(
        "--cost",
        action="append",
        default=[],
        metavar="OP=TIME",
        help="time of F, I, W, B or FB; with an FB, a forward and a backward may run together",
    )
    parser.add_argument("--start", metavar="NAME", help="begin with this hand-made schedule")
    parser.add_argument("--seconds", metavar="S", type=float, default=60, help="default: 60")
    parser.add_argument("--workers", metavar="N", type=int, help="threads; default: one a core")
    parser.add_argument("--out", metavar="FILE", required=True, help="the schedule, as JSON")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def run(options: argparse.Namespace) -> int:
    """Search, then write the best order, whole or not at all; 1 where none was found."""
    problem = Problem(
        options.placement,
        options.ranks,
        options.microbatches,
        costs_from(options),
        options.backward,
        options.max_activations,
        options.max_held,
        options.chunks,
    )
    _check_writable(options.out)
    known = None
    if options.start is not None:
        chunks = problem.chunks if options.start == "interleaved" else None
        known = build(options.start, problem.ranks, problem.microbatches, chunks)
    from dualpipe_ref.search import NothingFoundError, search

    try:
        found = search(
            problem,
            seconds=options.seconds,
            known=known,
            workers=options.workers,
            progress=options.format == "text",
        )
    except NothingFoundError as error:
        print(f"dualpipe-ref: {error}", file=sys.stderr)
        return 1
    write_text(options.out, json.dumps(to_dict(found.schedule)) + "\n")
    highest = peaks(found.schedule)
    data = {
        "makespan": found.makespan,
        "bound": found.bound,
        "optimal": found.optimal,
        "interrupted": found.interrupted,
        "seconds": round(found.seconds, 1),
        "peak_activations": highest.activations,
        "peak_held": highest.held,
        "file": options.out,
    }
    if options.format == "json":
        print(json.dumps(plain(data), indent=2))
        return 0
    print(f"{found.schedule!r}: makespan {plain(found.makespan)}, {_how_good(found)}")
    print(f"held until I {list(highest.activations)}, until W {list(highest.held)}, by rank")
    costs = "".join(f" --cost {cost}" for cost in options.cost)
    print(f"verified; to draw it: dualpipe-ref plot {options.out}{costs}")
    return 0


def _how_good(found: Found) -> str:
    if found.optimal:
        return f"and no order is faster ({found.seconds:.1f} s)"
    stopped = "stopped by hand" if found.interrupted else "time is over"
    return f"no order is below {plain(found.bound)} ({stopped}; {100 * found.gap:.1f} % between)"


def _check_writable(out: str) -> None:
    """A search is not to be lost for a path that is wrong."""
    folder = Path(out).resolve().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)) or Path(out).is_dir():
        raise InputError("the output file must be writable", repr(out), "--out best.json")
