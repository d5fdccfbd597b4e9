"""`dualpipe-ref plan`: a training step of a model on a cluster, what it takes and why, beside what is published."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from dualpipe_ref import plan_text
from dualpipe_ref.schedule import InputError
from dualpipe_ref.schedule.errors import one_of
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.simulate.chunk_bytes import POLICIES
from dualpipe_ref.simulate.cluster import (
    DEVICES,
    RUNS,
    TRANSPORTS,
    Plan,
    evaluate,
    find_device,
    find_run,
    find_transport,
    report,
)
from dualpipe_ref.simulate.cluster.derived import pair_kernels
from dualpipe_ref.simulate.cluster.explain import explain
from dualpipe_ref.simulate.cluster.profile import (
    URL,
    profile_of,
    published,
    read_kernels,
    timeline_of,
)
from dualpipe_ref.simulate.cluster.ranked import ranking
from dualpipe_ref.simulate.cluster.study import RANKINGS, SCHEDULES, sensitivity

NUMBERS = ("gpus", "pipeline", "tensor", "expert_ranks", "sequences", "length", "micro", "chunks")
LONGEST = 60  # seconds to wait for the network


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="RUN",
        help=f"the published run to begin with: {', '.join(RUNS)} (default: the first)",
    )
    parser.add_argument("--device", metavar="NAME|FILE.json", help=", ".join(DEVICES))
    for name in NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    parser.add_argument("--schedule", metavar="NAME", help=", ".join(SCHEDULES))
    parser.add_argument("--sms", type=int, metavar="N", help="reserved in overlapped pairs")
    parser.add_argument("--transport", metavar="NAME", help=", ".join(TRANSPORTS))
    parser.add_argument("--policy", metavar="NAME", help=f"made again: {', '.join(POLICIES)}")
    parser.add_argument("--precision", choices=["fp8", "bf16"])
    parser.add_argument("--node-limit", type=int, metavar="N", help="nodes a token may go to")
    parser.add_argument(
        "--slow", action="append", default=[], metavar="GPU=FACTOR", help="one that takes longer"
    )
    parser.add_argument(
        "--constant", action="append", default=[], metavar="NAME=VALUE", help="see --constants"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--explain", action="store_true", help="each number with its formula")
    what.add_argument("--rank", choices=list(RANKINGS), help="the same with others, ranked")
    what.add_argument("--sensitivity", action="store_true", help="each constant 10 and 25 %% off")
    what.add_argument("--constants", action="store_true", help="each constant with its source")
    what.add_argument("--published", action="store_true", help="all runs, predicted and published")
    what.add_argument("--trace", metavar="FILE", help="a torch profiler's trace of a pair instead")
    what.add_argument(
        "--fetch-trace", metavar="FILE", help="download DeepSeek's (needs the network)"
    )
    parser.add_argument(
        "--out-trace", metavar="FILE", help="write the timeline for ui.perfetto.dev"
    )
    parser.add_argument("--format", choices=["text", "json"], default="text")


def run(options: argparse.Namespace) -> int:
    """0, or an `InputError` where a plan breaks a rule or a file cannot be read."""
    if options.fetch_trace:
        return _fetch(options.fetch_trace)
    if options.trace:
        return _trace(options)
    if options.constants:
        return _print(options, report.constants_data(), plan_text.constants_text)
    if options.published:
        return _print(options, report.published_data(), plan_text.published_text)
    plan = plan_from(options)
    if options.rank:
        return _print(options, ranking(plan, options.rank), plan_text.ranking_text)
    if options.sensitivity:
        found = list(sensitivity(plan))
        return _print(options, report.sensitivity_data(plan, found), plan_text.sensitivity_text)
    step = evaluate(plan)
    if options.out_trace:
        from dualpipe_ref.plot.trace import write_trace

        timeline = step.timelines[step.groups[0].scales]
        write_trace(replace(timeline, unit="ns"), options.out_trace, name="planned step")
    if options.explain:
        rows = [one._asdict() for one in explain(step)]
        return _print(options, rows, plan_text.explained_text)
    data = report.step_data(step, find_run(options.name or next(iter(RUNS))))
    return _print(options, data, plan_text.step_text)


def _print(options: argparse.Namespace, data: Any, as_text: Any) -> int:
    print(json.dumps(data, indent=2) if options.format == "json" else as_text(data))
    return 0


def plan_from(options: argparse.Namespace) -> Plan:
    """The published run with what the options change."""
    plan = find_run(options.name or next(iter(RUNS))).plan
    names = (*NUMBERS, "sms", "precision", "node_limit")
    given = {name: getattr(options, name) for name in names}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if options.schedule is not None:
        changed["schedule"] = one_of("schedule", options.schedule, SCHEDULES)
        if options.schedule != plan.schedule and options.chunks is None:
            changed["chunks"] = None
    if options.policy is not None:
        changed["policy"] = one_of("policy", options.policy, POLICIES)
    if options.device is not None:
        changed["device"] = find_device(options.device)
    if options.transport is not None:
        changed["transport"] = find_transport(options.transport)
    changed["slow"] = {
        int(key): value for key, value in _pairs("slow", options.slow, whole=True).items()
    }
    changed["kernels"] = plan.kernels.changed(**_pairs("constant", options.constant))
    return replace(plan, **changed)


def _pairs(option: str, given: list[str], *, whole: bool = False) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[str(int(name)) if whole else name] = float(value)
        except ValueError:
            example = "7=1.2" if whole else "bf16_products=700"
            raise InputError(
                f"--{option} is a name and a number", repr(text), f"--{option} {example}"
            ) from None
    return found


def _trace(options: argparse.Namespace) -> int:
    kernels = read_kernels(options.trace)
    if options.out_trace:
        from dualpipe_ref.plot.trace import write_trace

        write_trace(timeline_of(kernels), options.out_trace, name=options.trace)
    planned = profile_of(pair_kernels(plan_from(options)))
    data = report.profile_data(profile_of(kernels), published(), planned)
    return _print(options, data, plan_text.profile_text)


def _fetch(path: str) -> int:
    """Download DeepSeek's trace; nothing is written unless all of it came."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(URL, timeout=LONGEST) as answer:
            text = answer.read().decode("utf-8")
    except (URLError, TimeoutError, ValueError, OSError) as error:
        raise InputError(
            f"the trace is fetched over the network, from {URL}",
            f"{error}",
            "a machine with one, or the derived numbers: dualpipe-ref plan --published",
        ) from None
    write_text(path, text)
    print(f"{path}: dualpipe-ref plan --trace {path}")
    return 0
