"""How fast schedules are made, verified and simulated, beside torch's own construction of the same one."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from dualpipe_ref.bench.memory import peak_gigabytes
from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.bench.targets import limit
from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.simulate import Costs, simulate

RANKS, MICROBATCHES = 64, 512
GROWTH_RANKS, GROWTH_SIZES, GROWTH_REPEATS = 64, (512, 1024, 2048, 4096), 7
LARGE = ("dualpipe", 64, 4096)
REPEATS = 5


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/schedule.json)."""
    rows = [*_own_rows(), *_torch_rows(), *_growth_rows(), *_memory_rows()]
    own = next(row.value for row in rows if row.bench == "schedule.dualpipev_all")
    theirs = [row.value for row in rows if row.bench == "schedule.torch_dualpipev"]
    if theirs:
        name = "schedule.ratio_to_torch"
        rows.append(Row(name, theirs[0] / own, "x", limit(name)))
    path = record("schedule", "CPU", rows, ["torch"], out)
    print(as_text(rows))
    print(path)
    return 0


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _best(work: Callable[[], Any]) -> tuple[float, Any]:
    """The least of some runs: the others were disturbed by something else on the machine."""
    best, result = math.inf, None
    for _ in range(REPEATS):
        result = None  # to free the run before is not this run's work
        gc.collect()
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def _own_rows() -> list[Row]:
    _say(f"dualpipev, P = {RANKS}, m = {MICROBATCHES}: generate, verify, simulate")
    generate, schedule = _best(lambda: build("dualpipev", RANKS, MICROBATCHES))
    check, _ = _best(lambda: verify(schedule))
    run, _ = _best(lambda: simulate(schedule, Costs(FB=3)))
    return [
        Row("schedule.dualpipev_generate", generate, "s"),
        Row("schedule.dualpipev_verify", check, "s"),
        Row("schedule.dualpipev_simulate", run, "s"),
        Row("schedule.dualpipev_all", generate + check + run, "s"),
    ]


def _torch_rows() -> list[Row]:
    _say("the same order, constructed and lowered by torch's ScheduleDualPipeV")
    try:
        construct = _torch_construction()
    except ImportError as error:
        _say(f"skipped: {error}; pip install -e '.[train]'")
        return []
    seconds, _ = _best(construct)
    return [Row("schedule.torch_dualpipev", seconds, "s")]


def _torch_construction() -> Callable[[], Any]:
    """Construct torch's schedule for rank 0 with stages that hold no model: only the order is timed."""
    from torch.distributed.pipelining import schedules
    from torch.distributed.pipelining.stage import _PipelineStageBase

    class OrderOnlyStage(_PipelineStageBase):  # type: ignore[misc]
        def __init__(self, stage_index: int) -> None:
            self.group_size, self.num_stages = RANKS, 2 * RANKS
            self.group_rank, self.stage_index = 0, stage_index
            self.has_backward, self.submod = True, None

    # Its abstract methods prepare buffers for a run, which never comes.
    OrderOnlyStage.__abstractmethods__ = frozenset()

    def construct() -> Any:
        stages: Any = [OrderOnlyStage(0), OrderOnlyStage(2 * RANKS - 1)]
        return schedules.ScheduleDualPipeV(stages, MICROBATCHES, loss_fn=lambda *_: 0)

    return construct


def _growth_rows() -> list[Row]:
    """Fit seconds = c * ops ** exponent over four sizes, for all three steps together.

    Each run is the first in a process of its own: in one that has run before, small schedules reuse
    memory that large ones must get from the system.
    """
    points = []
    for microbatches in GROWTH_SIZES:
        _say(f"growth: dualpipe, P = {GROWTH_RANKS}, m = {microbatches}")
        call = f"first_run('dualpipe', {GROWTH_RANKS}, {microbatches})"
        runs = [_in_own_process(call) for _ in range(GROWTH_REPEATS)]
        points.append((runs[0][0], min(seconds for _, seconds in runs)))
    why = "no step does more than constant work an op; larger schedules miss the caches more often"
    name = "schedule.growth_exponent"
    return [Row(name, fitted_exponent(points), "exponent", limit(name), why)]


def first_run(kind: str, ranks: int, microbatches: int) -> str:
    """Number of ops, and processor seconds to generate, verify and simulate them in this process.

    Not seconds on the wall: a long run is more likely to be held up by something else than a short one.
    """
    start = time.process_time()
    schedule = verify(build(kind, ranks, microbatches))
    simulate(schedule, Costs(FB=3))
    return f"{sum(map(len, schedule.ops))} {time.process_time() - start}"


def _in_own_process(call: str) -> list[float]:
    """The numbers that a function of this module returns as text, run in a fresh Python."""
    program = f"from dualpipe_ref.bench import schedule; print(schedule.{call})"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return list(map(float, answer.stdout.split()))


def fitted_exponent(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the least-squares line through (log size, log seconds).

    >>> round(fitted_exponent([(1, 2), (10, 200), (100, 20000)]), 6)
    2.0
    """
    logs = [(math.log(size), math.log(seconds)) for size, seconds in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum(
        (x - mean_x) ** 2 for x, _ in logs
    )


def _memory_rows() -> list[Row]:
    kind, ranks, microbatches = LARGE
    _say(f"memory: {kind}, P = {ranks}, m = {microbatches}, in a process of its own")
    generated, everything = _in_own_process(f"peak({kind!r}, {ranks}, {microbatches})")
    name = "schedule.dualpipe_large_memory"
    most = limit(name)
    return [
        Row(name, generated, "GB", most),
        Row(f"{name}_verified_simulated", everything, "GB", most),
    ]


def peak(kind: str, ranks: int, microbatches: int) -> str:
    """Peak resident memory of this process in GB after the schedule is made, and after it has been
    verified and simulated too."""
    schedule = build(kind, ranks, microbatches)
    generated = peak_gigabytes()
    verify(schedule)
    simulate(schedule, Costs(FB=3))
    return f"{generated} {peak_gigabytes()}"
