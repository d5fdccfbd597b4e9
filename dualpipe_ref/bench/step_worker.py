"""One process of the step bench, started by `train.launch`.

Usage: python -m dualpipe_ref.bench.step_worker compare|memory CASE.json RUNS OUT.json [SIDE]

`compare` checks that both sides agree, then times them in turn; `memory` runs one side alone. Rank 0 writes the result.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.bench.group import process_group
from dualpipe_ref.bench.memory import peak_gigabytes
from dualpipe_ref.bench.peers import SIDES, Case, Side

LIMIT = 900  # seconds after which a process gives up, with a traceback of where it stands
WARM_UP = 2


def compare(case: Case, runs: int) -> dict[str, dict[str, list[float]]]:
    """Seconds and processor seconds of each step by side; see `timed`. Raises `RuntimeError` where the sides differ."""
    sides = {name: make(case) for name, make in SIDES.items()}
    check(*sides.values())
    for side in sides.values():
        for _ in range(WARM_UP):
            timed(side)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs):
        if run % 5 == 0:
            _say(f"run {run + 1} of {runs}")
        for name in sorted(sides, reverse=bool(run % 2)):
            times = timed(sides[name])
            seconds[name].append(times[0])
            processor[name].append(times[1])
    return {"seconds": seconds, "processor": processor}


def memory(case: Case, runs: int, name: str) -> dict[str, list[float]]:
    """Peak GB of each rank, and what the steps have added to the peak before them."""
    side = SIDES[name](case)
    before = peak_gigabytes()
    for _ in range(runs):
        timed(side)
    peaks = [peak_gigabytes(), peak_gigabytes() - before]
    both: list[list[float]] = [[]] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(both, peaks)
    return {"peak": [one[0] for one in both], "steps": [one[1] for one in both]}


def check(ours: Side, theirs: Side) -> None:
    """Run a step of each. Raises `RuntimeError`, on all ranks, unless losses and gradients are equal bit for bit."""
    found = list(_differences(ours, theirs))
    everywhere: list[list[str]] = [[]] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everywhere, found)
    text = "; ".join(one for some in everywhere for one in some[:3])
    if text:
        raise RuntimeError(f"the two sides do not compute the same, so times say nothing: {text}")


def _differences(ours: Side, theirs: Side) -> Iterator[str]:
    for side in (ours, theirs):
        _forget(side)
    losses = ours.step(), theirs.step()
    if len(losses[0]) != len(losses[1]):
        yield f"{len(losses[0])} losses here, {len(losses[1])} there"
    for number, (here, there) in enumerate(zip(*losses, strict=False)):
        if not torch.equal(here, there):
            yield f"loss of micro-batch {number}: {here} here, {there} there"
    gradients = ours.gradients(), theirs.gradients()
    for name in sorted(gradients[0].keys() | gradients[1].keys()):
        yield from _difference(name, gradients[0].get(name), gradients[1].get(name))


def _difference(name: str, here: Tensor | None, there: Tensor | None) -> Iterator[str]:
    if here is None or there is None:
        yield f"gradient of {name} is missing {'here' if here is None else 'there'}"
    elif not torch.equal(here, there):
        yield f"gradient of {name} is off by {(here - there).abs().max():.3g}"


def timed(side: Side) -> tuple[float, float]:
    """One step: its seconds, the longest over all ranks, and its processor seconds, the sum over them.

    Gradients begin anew each time, outside of it.
    """
    _forget(side)
    gc.collect()
    torch.distributed.barrier()
    start, worked = time.perf_counter(), time.process_time()
    side.step()
    mine = time.perf_counter() - start, time.process_time() - worked
    all_times = [mine] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(all_times, mine)
    return max(one for one, _ in all_times), sum(one for _, one in all_times)


def _forget(side: Side) -> None:
    for module in side.stages.values():
        module.zero_grad(set_to_none=True)


def _say(what: str) -> None:
    if torch.distributed.get_rank() == 0:
        print(f"... {what}", file=sys.stderr, flush=True)


def _pin() -> None:
    """One core for each process, as far as there are enough; no other system than Linux lets us choose."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(os.environ["RANK"]) % len(cores)]})


def main() -> None:
    what, case_path, runs, out, *side = sys.argv[1:]
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    _pin()
    torch.set_num_threads(1)
    case = Case(**json.loads(Path(case_path).read_text()))
    with process_group(out, case.ranks):
        result = compare(case, int(runs)) if what == "compare" else memory(case, int(runs), *side)
        if torch.distributed.get_rank() == 0:
            Path(out).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
