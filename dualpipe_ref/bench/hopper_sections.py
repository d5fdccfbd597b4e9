"""What `bench hopper` measures, task by task: a task gives its rows, or is left out by name where the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import fixed_limit
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.arithmetic import TILE, waves
from dualpipe_ref.hopper.reserve import GREEN, OWNED, PLAIN, Half, Reservation, reserve
from dualpipe_ref.hopper.sm_map import BOTH, COMMUNICATION, COMPUTE, NEITHER, SmMap
from dualpipe_ref.hopper.ways import ways

if TYPE_CHECKING:
    from dualpipe_ref.hopper.measuring import Machine

RESERVED = (4, 8, 16, 20, 24, 32)
DEEPSEEK = 20
COPY_SMS = (2, 4, 8, 16, 20, 24, 32, 64)
COPY_THREADS = (512, 1024)
GRIDS = (Topology(2, 2), Topology(2, 4), Topology(8, 1))
OVERLAP_GRID = Topology(2, 2)
LEAST_MATMULS = 4
NO_LINK = "one GPU, no link"


class Task(NamedTuple):
    """One measurement with a name, which gives rows when it is done."""

    name: str
    rows: Callable[[], Iterable[Row]]


class Section(NamedTuple):
    """Tasks that have so many `seconds` together; none is begun later."""

    name: str
    seconds: float
    tasks: Callable[[Machine, Kept], Iterable[Task]]


class Kept(NamedTuple):
    """What later sections need of earlier ones, or is written beside the rows: maps by way, the pace of a plain copy in bytes
    a second by SMs, traces for Perfetto by name."""

    maps: dict[str, SmMap]
    pace: dict[int, float]
    traces: dict[str, dict[str, Any]]


def _name(text: str) -> str:
    return text.replace(" ", "_")


def environment(machine: Machine, kept: Kept) -> Iterator[Task]:
    def rows() -> Iterator[Row]:
        gpu = machine.driver.gpu
        yield Row("hopper.sms", gpu.sms, "SMs")
        yield Row("hopper.shared_per_sm", gpu.shared_per_sm, "bytes")
        yield Row("hopper.shared_per_block", gpu.shared_per_block, "bytes")
        for way in ways(gpu):
            yield Row(f"hopper.has_{_name(way.name)}", float(way.ready), way.found)
        yield Row("hopper.matmuls_told", float(machine.tells), "torch can tell matmuls their SMs")
        for taken in (0, DEEPSEEK):
            name = f"hopper.matmul_waves_{gpu.sms - taken}_sms"
            unit = f"waves of tiles of {TILE[0]} x {TILE[1]}"
            yield Row(name, waves(machine.side, gpu.sms - taken), unit, fixed_limit(name))

    yield Task("the GPU", rows)


def _ready(machine: Machine) -> list[str]:
    return [way.name for way in ways(machine.driver.gpu) if way.ready]


def reservation(machine: Machine, kept: Kept) -> Iterator[Task]:
    def rows(sms: int, exact: bool) -> Iterator[Row]:
        with reserve(machine.driver, sms, GREEN, exact=exact) as made:
            name = f"hopper.reserve_{sms}_{'exactly' if exact else 'grouped'}"
            unit = f"SMs, at least {made.given.minimum}, in multiples of {made.given.alignment}"
            yield Row(f"{name}_given", made.given.given, unit)
            yield Row(f"{name}_rest", made.given.rest, "SMs")

    if GREEN in _ready(machine):
        for sms in RESERVED:
            for exact in (True, False):
                yield Task(f"{sms} SMs, {exact=}", lambda sms=sms, exact=exact: rows(sms, exact))  # type: ignore[misc]


def who_ran(machine: Machine, kept: Kept) -> Iterator[Task]:
    """Each way by kernels that only ask, then by what the blocks of dispatch and of combine write down themselves."""

    def asked(way: str) -> Iterator[Row]:
        with reserve(machine.driver, DEEPSEEK, way) as halves:
            kept.maps[way] = machine.probe(halves.communication, halves.compute)
        yield from _of_map(way, kept.maps[way])

    def written(way: str) -> Iterator[Row]:
        made = machine.exchange("direct", OVERLAP_GRID, DEEPSEEK // OVERLAP_GRID.ranks)
        with reserve(machine.driver, DEEPSEEK, way) as halves:
            maps = machine.probe_kernels(made, halves.communication, halves.compute)
        made.check()
        for phase, found in maps.items():
            kept.maps[f"{way} {phase}"] = found
            yield from _of_map(f"{way} {phase}", found)

    for way in _ready(machine):
        yield Task(way, lambda way=way: asked(way))  # type: ignore[misc]
    for way in _ready(machine):
        yield Task(f"{way}, by the kernels themselves", lambda way=way: written(way))  # type: ignore[misc]


def _of_map(name: str, found: SmMap) -> Iterator[Row]:
    name = f"hopper.map_{_name(name)}"
    for role in (COMMUNICATION, COMPUTE, NEITHER):
        yield Row(f"{name}_{role}", found.count(role), "SMs")
    yield Row(f"{name}_both", found.count(BOTH), "SMs", fixed_limit(f"{name}_both"))
    yield Row(f"{name}_together", len(found.together), "SMs at the same time")
    yield Row(f"{name}_spread", found.spread_ns / 1e3, "us from first to last start")


def _whole(machine: Machine) -> Reservation:
    """Streams of the whole GPU."""
    return reserve(machine.driver, 1, PLAIN)


def copy_pace(machine: Machine, kept: Kept, half: Half, sms: int) -> float:
    """Bytes a second, read and written, of the best plain copy by so many SMs; measured once."""
    if sms not in kept.pace:
        size = sms * machine.copied_per_sm
        works = [machine.copy(half, sms, threads, size) for threads in COPY_THREADS]
        kept.pace[sms] = 2 * size / min(machine.seconds(work) for work in works)
    return kept.pace[sms]


def yardstick(machine: Machine, kept: Kept) -> Iterator[Task]:
    def rows(sms: int) -> Iterator[Row]:
        with _whole(machine) as whole:
            pace = copy_pace(machine, kept, whole.compute, sms)
            yield Row(f"hopper.copy_{sms}_sms", pace / 1e9, "GB/s read and written")

    for sms in (*COPY_SMS, machine.driver.gpu.sms):
        yield Task(f"{sms} SMs", lambda sms=sms: rows(sms))  # type: ignore[misc]


__all__ = ["GREEN", "OWNED", "PLAIN", "Kept", "Section", "Task", "copy_pace"]
