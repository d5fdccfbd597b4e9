"""Reserved SMs on a GPU: who ran where, by what blocks wrote down; and the kernels beside computation."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.cuda_driver import split_rule
from dualpipe_ref.hopper.kernel_records import empty_records
from dualpipe_ref.hopper.measuring import Shape
from dualpipe_ref.hopper.on_emulator import OnEmulator
from dualpipe_ref.hopper.reserve import GREEN, OWNED, PLAIN, Reservation, nearest_split, reserve
from dualpipe_ref.hopper.torch_ways import check_torch_ways
from dualpipe_ref.hopper.ways import ways
from dualpipe_ref.schedule.errors import InputError
from tests.gpu.conftest import IS_EMULATED


@pytest.fixture(scope="module")
def machine() -> Any:
    if IS_EMULATED:
        return OnEmulator()
    from dualpipe_ref.hopper.on_gpu import OnGpu

    made = OnGpu()
    made.shape = Shape(512, 7168, 256, 8, 4)
    return made


def reserved(machine: Any, sms: int, way: str, *, exact: bool = True) -> Reservation:
    """A reservation, or a skip that says what this GPU lacks."""
    (found,) = (one for one in ways(machine.driver.gpu) if one.name == way)
    if not found.ready:
        pytest.skip(f"{way} need {found.how}; here: {found.found}")
    return reserve(machine.driver, sms, way, exact=exact)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("sms", [8, 16, 20, 24])
def test_a_green_context_has_what_it_says(machine: Any, sms: int, exact: bool) -> None:
    whole = machine.driver.gpu.sms
    with reserved(machine, sms, GREEN, exact=exact) as made:
        assert machine.driver.primary_is_current()
        assert made.given.given >= sms
        assert made.given.given + made.given.rest == whole
        if not exact:
            rule = split_rule(machine.driver.gpu.capability)
            assert made.given.given == nearest_split(sms, whole, *rule)
        found = machine.probe(made.communication, made.compute)
        assert found.is_apart, str(found)
        assert len(found.sms("communication")) == made.given.given
        assert len(found.sms("computation")) <= made.given.rest


def test_a_grid_that_owns_its_sms_keeps_others_off(machine: Any) -> None:
    with reserved(machine, 20, OWNED) as made:
        found = machine.probe(made.communication, made.compute)
        assert found.together == (), str(found)
        assert len(found.sms("communication")) + len(found.sms("both")) == 20


def test_plain_streams_keep_nobody_off(machine: Any) -> None:
    """Else the two tests above would show nothing."""
    with reserved(machine, 20, PLAIN) as made:
        assert not machine.probe(made.communication, made.compute).is_apart


@pytest.mark.parametrize("way", [GREEN, OWNED, PLAIN])
@pytest.mark.parametrize("version", ["direct", "queues"])
def test_dispatch_and_combine_say_themselves_where_they_ran(
    machine: Any, version: str, way: str
) -> None:
    made = machine.exchange(version, Topology(2, 2), 4)
    with reserved(machine, 16, way) as halves:
        maps = machine.probe_kernels(made, halves.communication, halves.compute)
        made.check()
        for phase, found in maps.items():
            ours = len(found.sms("communication")) + len(found.sms("both"))
            assert 0 < ours <= 16, f"{phase}: {found}"
            if way == GREEN:
                assert found.is_apart, f"{phase}: {found}"
            else:
                assert (found.together == ()) == (way == OWNED), f"{phase}: {found}"


def test_kernels_that_ran_elsewhere_are_found_out(machine: Any) -> None:
    """On the stream of computation they are where computation is, whatever was reserved."""
    made = machine.exchange("direct", Topology(2, 2), 4)
    with reserved(machine, 16, GREEN) as halves:
        maps = machine.probe_kernels(made, halves.compute, halves.compute)
    assert not any(found.is_apart for found in maps.values())


def test_kernels_that_write_nothing_are_found_out(machine: Any) -> None:
    made = machine.exchange("direct", Topology(2, 2), 4)
    kept = made.recording()
    with reserved(machine, 16, PLAIN) as halves:
        for silent, work in zip(
            ("dispatch", "combine"), machine.works(made, halves.communication), strict=True
        ):
            kept.clear()
            machine.seconds(work, runs=1)
            with pytest.raises(InputError, match="of warp 0 of block 0"):
                kept.ran(silent)


@pytest.mark.parametrize("way", [GREEN, OWNED, PLAIN])
@pytest.mark.parametrize("version", ["direct", "queues"])
def test_the_same_bits_beside_matmuls(machine: Any, version: str, way: str) -> None:
    made = machine.exchange(version, Topology(2, 2), 4)
    with reserved(machine, 16, way) as halves:
        for phase, work in zip(
            ("dispatch", "combine"), machine.works(made, halves.communication), strict=True
        ):
            made.spoil(phase)
            machine.seconds(work, machine.matmuls(halves.compute, 4), runs=3)
            made.check()
    check_torch_ways(made)


@pytest.mark.parametrize("threads", [512, 1024])
def test_the_yardstick_copies(machine: Any, threads: int) -> None:
    """It raises where it does not."""
    with reserved(machine, 1, PLAIN) as whole:
        assert machine.seconds(machine.copy(whole.compute, 8, threads, 16 * 4097), runs=2) > 0


@pytest.mark.skipif(IS_EMULATED, reason="Numba launches need a GPU")
def test_what_numba_launches_stays_in_its_half(machine: Any) -> None:
    """The other way into a green context: Numba's own launch, with the primary context current."""
    import torch

    from dualpipe_ref.comm.kernels.compiled import jitted
    from dualpipe_ref.comm.kernels.who_ran import SM, WhoRanPlan, who_ran

    kernel = jitted(who_ran, threads=128)
    with reserved(machine, 16, GREEN) as made:
        seen = []
        for half in (made.communication, made.compute):
            blocks = 4 * machine.driver.gpu.sms
            records = empty_records(blocks, threads=128, lanes=32, device="cuda")
            torch.cuda.synchronize()
            kernel[blocks, 128, half.numba()](WhoRanPlan(0, blocks, records.data_ptr(), 50_000))
            torch.cuda.synchronize()
            seen.append(set(records[:, :, SM].flatten().tolist()))
    assert not seen[0] & seen[1]
    assert len(seen[0]) == made.given.given
    assert -1 not in seen[0] | seen[1]
