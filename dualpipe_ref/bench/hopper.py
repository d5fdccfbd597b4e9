"""SMs reserved, kernels against a plain copy, communication beside matmuls: `bench hopper`, on one GPU, in under 8 minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dualpipe_ref.bench import hopper_chunk, hopper_contention, hopper_kernels, hopper_sections
from dualpipe_ref.bench.hopper_sections import Kept, Section, Task
from dualpipe_ref.bench.processes import say
from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.hopper import sm_map
from dualpipe_ref.plot.measured import RESULTS
from dualpipe_ref.plot.trace import write_events

if TYPE_CHECKING:
    from dualpipe_ref.hopper.measuring import Machine

# 7 minutes in all: a task that has begun may end later than its section.
SECTIONS = (
    Section("environment", 5, hopper_sections.environment),
    Section("reservation", 10, hopper_sections.reservation),
    Section("who ran where", 30, hopper_sections.who_ran),
    Section("copy yardstick", 30, hopper_sections.yardstick),
    Section("dispatch and combine", 100, hopper_kernels.kernels),
    Section("sweep over SMs", 50, hopper_kernels.sweep),
    Section("overlap", 100, hopper_kernels.overlap),
    Section("contention", 45, hopper_contention.contention),
    Section("whole step", 15, hopper_chunk.step),
    Section("chunk", 25, hopper_chunk.chunk),
)
PACKAGES = ("torch", "numba", "numba-cuda", "cuda-core", "cuda-bindings", "cuda-toolkit")


class Done(NamedTuple):
    """The rows, what later readers need beside them, what was not begun in time and what failed, as sentences, and the clocks
    of the GPU as each section left them."""

    rows: list[Row]
    kept: Kept
    late: list[str]
    failed: list[str]
    clocks: dict[str, Any]


def main(out: str | None = None, dry_run: bool = False) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/hopper.json) and the maps of SMs beside them.

    With `dry_run` all of it goes through the emulator with tiny shapes, and is written only where `out` says so: its
    times mean nothing. Raises `InputError` where there is no GPU. The status is 1 where a task failed.
    """
    machine = _machine(dry_run)
    if dry_run:
        print("Dry run: tiny shapes in the emulator. These times mean nothing.")
    before = machine.environment()
    done = _rehearsed(machine) if dry_run else run(machine, SECTIONS)
    print(as_text(done.rows))
    for sentence in (*done.late, *done.failed):
        print(f"not measured: {sentence}")
    if not dry_run or out:
        _write(done, before, out, dry_run)
    return 1 if done.failed else 0


def _machine(dry_run: bool) -> Machine:
    if dry_run:
        from dualpipe_ref.hopper.on_emulator import OnEmulator

        return OnEmulator()
    from dualpipe_ref.hopper.on_gpu import OnGpu

    return OnGpu()


def _rehearsed(machine: Machine) -> Done:
    """All sections, which take the time that they take; no row is held against a target."""
    from dualpipe_ref.hopper.on_emulator import one_thread

    with one_thread():
        done = run(machine, SECTIONS, clock=lambda: 0.0)
    return done._replace(rows=[row._replace(target=None) for row in done.rows])


def run(machine: Machine, sections: Sequence[Section], clock: Any = time.monotonic) -> Done:
    """All tasks of all sections, each section for as long as it may; what fails is kept, and the next goes on."""
    done = Done([], Kept({}, {}, {}), [], [], {})
    for section in sections:
        say(section.name)
        until = clock() + section.seconds
        for task in section.tasks(machine, done.kept):
            if clock() > until:
                done.late.append(f"{section.name}, {task.name}: {section.seconds} s were over")
            else:
                _run(section, task, done)
        done.clocks[section.name] = machine.environment()["clocks"]
    return done


def _run(section: Section, task: Task, done: Done) -> None:
    try:
        rows = list(task.rows())
    except (RuntimeError, ValueError, ImportError) as error:
        # The next task may still do; what failed is printed, written down, and makes the status 1.
        done.failed.append(f"{section.name}, {task.name}: {type(error).__name__}: {error}")
        say(done.failed[-1])
        return
    for row in rows:
        say(" ".join(as_text([row]).splitlines()[-1].split()))
    done.rows.extend(rows)


def _write(done: Done, before: Any, out: str | None, dry_run: bool) -> None:
    tier = "dry run in the emulator" if dry_run else "one GPU"
    more = {
        "gpu": before["gpu"],
        "driver": before["driver"],
        "clocks": {"before": before["clocks"], **done.clocks},
        "not_measured": [*done.late, *done.failed],
    }
    print(record("hopper", tier, done.rows, PACKAGES, out, more), file=sys.stderr)
    for name, trace in done.kept.traces.items():
        path = trace_path(name, out)
        path.parent.mkdir(exist_ok=True)
        write_events(trace, path)
    if done.kept.maps:
        maps = {way: sm_map.kept(found) for way, found in done.kept.maps.items()}
        rows = list(_map_rows(done))
        beside = None if out is None else f"{out.removesuffix('.json')}_maps.json"
        record("hopper_maps", tier, rows, PACKAGES, beside, more | {"sms": maps})


def trace_path(name: str, out: str | None) -> Path:
    """Where a trace for Perfetto goes: beside `out`, or into traces/ below the results.

    >>> trace_path("chunk_direct", "/tmp/hopper.json").name
    'hopper_chunk_direct_trace.json'
    """
    if out is None:
        return RESULTS / "traces" / f"hopper_{name}.json"
    return Path(f"{out.removesuffix('.json')}_{name}_trace.json")


def _map_rows(done: Done) -> Iterable[Row]:
    for way, found in done.kept.maps.items():
        name = f"hopper_maps.{way.replace(' ', '_')}"
        yield Row(f"{name}_both", found.count(sm_map.BOTH), f"of {len(found.roles)} SMs ran both")
