"""Sections of `bench hopper`: dispatch and combine against the yardstick, their sweep over SMs, and beside matmuls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dualpipe_ref.bench.hopper_sections import (
    DEEPSEEK,
    GREEN,
    GRIDS,
    LEAST_MATMULS,
    NO_LINK,
    OVERLAP_GRID,
    OWNED,
    PLAIN,
    RESERVED,
    Kept,
    Task,
    copy_pace,
)
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import fixed_limit
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.arithmetic import (
    exposed_share,
    knee,
    over_the_longer,
    rate,
    repetitions,
    sm_tax,
    to_yardstick,
)
from dualpipe_ref.hopper.reserve import Reservation, reserve
from dualpipe_ref.hopper.ways import ways

if TYPE_CHECKING:
    from dualpipe_ref.hopper.measuring import Machine

SWEEP = (2, 4, 8, 16, 20, 24, 32)
# Where computation alone runs.
ALONE = {GREEN: "on the rest", OWNED: "on the rest, others held", PLAIN: "on all SMs"}


def kernels(machine: Machine, kept: Kept) -> Iterator[Task]:
    """Each version and grid of ranks with as many SMs as there are, an even number for each rank."""
    for grid in GRIDS:
        most = min(DEEPSEEK, machine.driver.gpu.sms // grid.ranks) // 2 * 2
        for version in ("direct", "queues"):
            name = f"{version}_{grid.nodes}x{grid.gpus_per_node}"
            yield Task(
                name,
                lambda v=version, g=grid, b=most, n=name: _version(machine, kept, v, g, b, n),  # type: ignore[misc]
            )


def _version(
    machine: Machine, kept: Kept, version: str, grid: Topology, blocks: int, name: str
) -> Iterator[Row]:
    from dualpipe_ref.hopper.torch_ways import check_torch_ways

    made = machine.exchange(version, grid, blocks)
    sms = blocks * grid.ranks
    with reserve(machine.driver, 1, PLAIN) as whole:
        pace = copy_pace(machine, kept, whole.compute, sms)
        both = zip(("dispatch", "combine"), machine.works(made, whole.compute), strict=True)
        traffics = (made.dispatch_traffic, made.combine_traffic)
        times = []
        for phase, work in both:
            made.spoil(phase)
            times.append(machine.seconds(work))
            made.check()
        check_torch_ways(made)
        torch_times = [machine.seconds(work) for work in machine.torch_ways(made, whole.compute)]
    yield Row(f"hopper.{name}_sms", sms, f"SMs of {grid.ranks} ranks")
    phases = zip(("dispatch", "combine"), times, traffics, torch_times, strict=True)
    for phase, took, traffic, by_torch in phases:
        prefix = f"hopper.{name}_{phase}"
        found = to_yardstick(traffic, took, int(pace / 2), 1.0)
        yield Row(f"{prefix}_time", 1e3 * took, f"ms; {NO_LINK}")
        yield Row(f"{prefix}_rate", rate(traffic.total, took), "GB/s read and written")
        total = f"{prefix}_total"
        yield Row(total, found.total, "of a plain copy's rate", fixed_limit(total))
        yield Row(f"{prefix}_algorithmic", found.algorithmic, "of a plain copy's rate")
        yield Row(f"{prefix}_torch", by_torch / took, "torch's time on the whole GPU / ours")


def sweep(machine: Machine, kept: Kept) -> Iterator[Task]:
    """Direct slots on 2 x 2 ranks: how the rate grows with the SMs of a rank, and where it stops."""
    found: dict[str, dict[int, float]] = {"dispatch": {}, "combine": {}}

    def one(blocks: int) -> Iterator[Row]:
        made = machine.exchange("direct", OVERLAP_GRID, blocks)
        with reserve(machine.driver, 1, PLAIN) as whole:
            works = machine.works(made, whole.compute)
            traffics = (made.dispatch_traffic, made.combine_traffic)
            for phase, work, traffic in zip(found, works, traffics, strict=True):
                value = rate(traffic.total, machine.seconds(work))
                found[phase][blocks] = value
                yield Row(f"hopper.sweep_{phase}_{blocks}_sms", value, "GB/s of 4 ranks")
        made.check()

    def knees() -> Iterator[Row]:
        for phase, rates in found.items():
            if list(rates) != fitting:
                raise RuntimeError(
                    f"a knee needs the whole sweep; of {phase} there is {list(rates)}"
                )
            at = knee(list(rates), list(rates.values()))
            yield Row(f"hopper.sweep_{phase}_knee", at, "SMs of a rank for 95 % of the best")

    fitting = [one for one in SWEEP if one * OVERLAP_GRID.ranks <= machine.driver.gpu.sms]
    for blocks in fitting:
        yield Task(f"{blocks} SMs a rank", lambda blocks=blocks: one(blocks))  # type: ignore[misc]
    yield Task("the knee", knees)


def overlap(machine: Machine, kept: Kept) -> Iterator[Task]:
    """20 SMs in each way and both versions first, then other numbers of SMs in green contexts."""
    ready = [way.name for way in ways(machine.driver.gpu) if way.ready]
    cases = [("direct", DEEPSEEK, way) for way in ready]
    cases += [("queues", 24, way) for way in ready if way in (GREEN, OWNED)]
    first = ready[0]
    cases += [("direct", sms, first) for sms in RESERVED if sms != DEEPSEEK]
    for version, sms, way in cases:
        name = f"{version}_{sms}_sms_{way.replace(' ', '_')}"
        yield Task(
            name,
            lambda v=version, s=sms, w=way, n=name: _overlapped(machine, v, s, w, n),  # type: ignore[misc]
        )


def _overlapped(machine: Machine, version: str, sms: int, way: str, name: str) -> Iterator[Row]:
    made = machine.exchange(version, OVERLAP_GRID, sms // OVERLAP_GRID.ranks)
    with (
        reserve(machine.driver, 1, PLAIN) as whole,
        reserve(machine.driver, sms, way) as halves,
    ):
        prefix = f"hopper.overlap_{name}"
        works = machine.works(made, halves.communication)
        one_matmul = _alone(machine, halves, LEAST_MATMULS) / LEAST_MATMULS
        on_all = machine.seconds(machine.matmuls(whole.compute, LEAST_MATMULS)) / LEAST_MATMULS
        tax = sm_tax(
            one_matmul, on_all, machine.driver.gpu.sms, machine.driver.gpu.sms - halves.compute.sms
        )
        yield Row(f"{prefix}_given", halves.given.given, f"SMs; {halves.given.rest} are left")
        yield Row(f"{prefix}_tax", tax.takes, f"times as long as on all SMs; {ALONE[way]}")
        yield Row(
            f"{prefix}_tax_beyond", tax.beyond, f"of the {tax.explained:.4f} that lost SMs explain"
        )
        for phase, work in zip(("dispatch", "combine"), works, strict=True):
            many = work.repeated(machine.in_a_row)
            alone = machine.seconds(many)
            count = repetitions(one_matmul, alone)
            chain = machine.matmuls(halves.compute, count)
            compute = _alone(machine, halves, count)
            made.spoil(phase)
            together = machine.seconds(many, chain)
            made.check()
            name = f"{prefix}_{phase}"
            yield Row(f"{name}_alone", 1e3 * alone, f"ms of {machine.in_a_row}; {NO_LINK}")
            yield Row(f"{name}_compute", 1e3 * compute, f"ms; {count} matmuls {ALONE[way]}")
            yield Row(f"{name}_together", 1e3 * together, "ms")
            share = exposed_share(together, compute, alone)
            exposed = f"{name}_exposed"
            yield Row(exposed, share, "of communication", fixed_limit(exposed))
            longer = over_the_longer(together, compute, alone)
            yield Row(f"{name}_over_longer", longer, "of the longer alone")


def _alone(machine: Machine, halves: Reservation, count: int) -> float:
    """Seconds of so many matmuls on the SMs that they have beside communication.

    A grid that owns its SMs keeps nobody off while it is not there: so a grid that does nothing takes its place.
    """
    chain = machine.matmuls(halves.compute, count)
    took = machine.seconds(chain)
    if not halves.communication.owns_sm:
        return took
    return machine.seconds(chain, beside=machine.holder(halves.communication, 2 * took + 1e-3))
