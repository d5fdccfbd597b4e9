"""The host's part of a measurement on a GPU, above streams and events that write down what is asked of them."""

from __future__ import annotations

import ctypes
import inspect
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.kernels.plain_copy import plain_copy
from dualpipe_ref.comm.kernels.who_ran import WORDS, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu
from dualpipe_ref.hopper import on_gpu
from dualpipe_ref.hopper.emulated_driver import EmulatedDriver
from dualpipe_ref.hopper.measuring import TINY
from dualpipe_ref.hopper.on_emulator import LANES, OnEmulator
from dualpipe_ref.hopper.on_gpu import HEAD_START_CYCLES, OnGpu
from dualpipe_ref.hopper.replay import Launch
from dualpipe_ref.hopper.reserve import GREEN, OWNED, PLAIN, reserve
from dualpipe_ref.schedule.errors import InputError


class Fake:
    """What stands for torch.cuda and for launches; `log` has all calls in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, driver: EmulatedDriver) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.driver, self.current, self.writes = driver, 0, True
        real = inspect.signature(gpu.launch)

        fake = self

        class Stream:
            def __init__(self, number: int) -> None:
                self.cuda_stream = number

            def wait_event(self, event: Any) -> None:
                fake.log.append(("wait", self.cuda_stream, "event"))

            def wait_stream(self, other: Any) -> None:
                fake.log.append(("wait", self.cuda_stream, other.cuda_stream))

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self, stream: Any) -> None:
                fake.log.append(("record", stream.cuda_stream))

            def elapsed_time(self, other: Any) -> float:
                return 7.0  # ms

        def launch(*arguments: Any, **named: Any) -> None:
            given = real.bind(*arguments, **named)
            given.apply_defaults()
            self.launched(**given.arguments)

        gate = Stream(0)
        monkeypatch.setattr(torch.cuda, "ExternalStream", Stream)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: gate)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: self.log.append(("synchronize",)))
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(
            torch.cuda, "_sleep", lambda cycles: self.log.append(("sleep", self.current, cycles))
        )
        monkeypatch.setattr(gpu, "launch", launch)

    @contextmanager
    def on(self, stream: Any) -> Any:
        before, self.current = self.current, stream.cuda_stream
        yield
        self.current = before

    def launched(self, **given: Any) -> None:
        kernel, plan, number = given["kernel"], given["plan"], given["stream"].cuda_stream
        kinds = ("grid", "together", "owns_sm")
        self.log.append(("launch", number, kernel.__name__, *(given[one] for one in kinds)))
        if kernel is who_ran:
            self.write_records(plan.records, number, given["grid"], given["threads"])
        elif kernel is plain_copy:
            ctypes.memmove(plan.target, plan.source, plan.size)
        elif plan.records and self.writes:
            self.write_records(plan.records, number, given["grid"], given["threads"])

    def write_records(self, address: int, number: int, grid: int, threads: int) -> None:
        """What warps of blocks on the SMs of a stream would write."""
        sms = self.driver.sms_of(number)
        words = [
            word
            for block in range(grid)
            for _ in range(threads // gpu.LANES)
            for word in (sms[block % len(sms)], 5, 9, *[-1] * (gpu.LANES - WORDS))
        ]
        assert len(words) == grid * threads
        ctypes.memmove(address, (ctypes.c_int64 * len(words))(*words), 8 * len(words))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[OnGpu, Fake]:
    machine = OnGpu.__new__(OnGpu)
    machine.device, machine.driver, machine.shape = torch.device("cpu"), EmulatedDriver(), TINY  # type: ignore[assignment]
    machine._square = torch.ones(4, 4).bfloat16()
    machine._product = torch.empty_like(machine._square)
    return machine, Fake(monkeypatch, machine.driver)  # type: ignore[arg-type]


def test_both_begin_at_the_same_event_and_the_end_waits_for_both(made: tuple[OnGpu, Fake]) -> None:
    machine, fake = made
    with reserve(machine.driver, 20) as halves:
        first, second = halves.communication.stream, halves.compute.stream
        works = (
            machine.copy(halves.communication, 4, 512, 64),
            machine.matmuls(halves.compute, 2),
        )
        fake.log.clear()
        assert machine.seconds(*works, runs=1) == 0.007
    once = fake.log[: len(fake.log) // 2]
    assert fake.log == once * 2  # the first run is not counted
    assert once == [
        ("synchronize",),
        ("sleep", 0, on_gpu.GATE_CYCLES),
        ("record", 0),
        ("wait", first, "event"),
        ("launch", first, "plain_copy", 4, True, False),
        ("wait", 0, first),
        ("wait", second, "event"),
        ("wait", 0, second),
        ("record", 0),
        ("synchronize",),
    ]
    assert machine._product.tolist() == [[4.0] * 4] * 4


def test_a_grid_that_owns_its_sms_comes_first(made: tuple[OnGpu, Fake]) -> None:
    machine, fake = made
    with reserve(machine.driver, 20, OWNED) as halves:
        works = (
            machine.copy(halves.communication, 20, 512, 64),
            machine.matmuls(halves.compute, 1),
        )
        machine.seconds(*works, runs=1)
        second = halves.compute.stream
        assert ("launch", halves.communication.stream, "plain_copy", 20, True, True) in fake.log
    assert ("sleep", second, HEAD_START_CYCLES) in fake.log


def test_held_sms_are_taken_before_computation_begins(made: tuple[OnGpu, Fake]) -> None:
    machine, fake = made
    with reserve(machine.driver, 20, OWNED) as halves:
        first, second = halves.communication.stream, halves.compute.stream
        holder = machine.holder(halves.communication, 0.5)
        machine.seconds(machine.matmuls(halves.compute, 1), beside=holder, runs=1)
    once = fake.log[: len(fake.log) // 2]
    assert once[3:] == [
        ("wait", first, "event"),
        ("launch", first, "who_ran", 20, True, True),
        ("wait", second, "event"),
        ("sleep", second, HEAD_START_CYCLES),
        ("wait", 0, second),  # and for nobody else
        ("record", 0),
        ("synchronize",),
    ]


@pytest.mark.parametrize(("way", "both"), [(GREEN, 0), (PLAIN, 20)])
def test_a_probe_asks_blocks_of_both_halves(made: tuple[OnGpu, Fake], way: str, both: int) -> None:
    machine, fake = made
    with reserve(machine.driver, 20, way) as halves:
        found = machine.probe(halves.communication, halves.compute)
        first, second = halves.communication.stream, halves.compute.stream
    assert found.count("both") == both
    assert found.count("communication") == 20 - both
    assert found.count("computation") == 112
    blocks = on_gpu.PROBE_ROUNDS * 132
    assert ("launch", first, "who_ran", 20, True, False) in fake.log
    # More blocks than fit at once: they do not wait for one another.
    assert ("launch", second, "who_ran", blocks, False, False) in fake.log


@pytest.mark.parametrize(("way", "both"), [(GREEN, 0), (OWNED, 4), (PLAIN, 4)])
def test_kernels_are_asked_beside_the_probe(
    made: tuple[OnGpu, Fake], monkeypatch: pytest.MonkeyPatch, way: str, both: int
) -> None:
    """Their own records count, not those of their first run. (Nobody keeps others off here: the streams do.)"""
    machine, fake = made
    monkeypatch.setattr(gpu, "LANES", LANES)
    kept = OnEmulator().exchange("direct", Topology(2, 2), 1)
    with reserve(machine.driver, 20, way) as halves:
        maps = machine.probe_kernels(kept, halves.communication, halves.compute)
        for phase, found in maps.items():
            assert (found.count("both"), found.count("communication")) == (both, 4 - both), phase
        order = [one[2] for one in fake.log if one[0] == "launch"]
        assert order == 2 * ["dispatch", "who_ran"] + 2 * ["combine", "who_ran"]
        fake.writes = False
        with pytest.raises(InputError, match="of warp 0 of block 0"):
            machine.probe_kernels(kept, halves.communication, halves.compute)


def test_steps_go_to_the_stream_of_their_half(made: tuple[OnGpu, Fake]) -> None:
    machine, fake = made
    kept = OnEmulator().exchange("direct", Topology(2, 2), 1)
    with reserve(machine.driver, 20) as halves:
        for work, steps in zip(
            machine.works(kept, halves.communication), (kept.dispatch, kept.combine), strict=True
        ):
            for heap in kept.heaps:
                heap.fill_(1)
            fake.log.clear()
            machine.seconds(work, runs=1)
            launches = [one for one in fake.log if one[0] == "launch"]
            names = [step.kernel.__name__ for step in steps if isinstance(step, Launch)]
            stream = halves.communication.stream
            assert launches == 2 * [("launch", stream, name, 4, True, False) for name in names]
            # What has to be zero is, in every heap.
            (zero,) = (step for step in steps if not isinstance(step, Launch))
            for heap in kept.heaps:
                assert not heap[zero.first : zero.first + zero.size].any()


@pytest.mark.parametrize("has", [True, False])
def test_matmuls_are_told_what_is_not_theirs(
    made: tuple[OnGpu, Fake], monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    machine, _ = made
    said: list[Any] = []
    name = "_set_sm_carveout_experimental"
    if has:
        monkeypatch.setattr(torch._C, name, said.append, raising=False)
    else:
        monkeypatch.delattr(torch._C, name, raising=False)
    with reserve(machine.driver, 20) as halves, reserve(machine.driver, 1, PLAIN) as whole:
        machine.matmuls(halves.compute, 1).start(None)
        machine.matmuls(whole.compute, 1).start(None)
    # And told otherwise afterwards; on the whole GPU there is nothing to tell.
    assert said == ([20, None] if has else [])


def test_a_copy_that_does_not_copy_is_no_yardstick(
    made: tuple[OnGpu, Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, _ = made
    monkeypatch.setattr(gpu, "launch", lambda *_, **__: None)
    with (
        reserve(machine.driver, 4) as halves,
        pytest.raises(RuntimeError, match="the plain copy did not copy"),
    ):
        machine.copy(halves.communication, 4, 512, 64)


def test_a_copy_waits_for_what_fills_its_source(made: tuple[OnGpu, Fake]) -> None:
    """Streams of halves do not wait for the default one."""
    machine, fake = made
    with reserve(machine.driver, 4) as halves:
        machine.copy(halves.communication, 4, 512, 64)
    assert [one[0] for one in fake.log] == ["synchronize", "launch", "synchronize"]


def test_torch_s_ways_run(made: tuple[OnGpu, Fake]) -> None:
    machine, _ = made
    kept = OnEmulator().exchange("direct", Topology(1, 2), 1)
    with reserve(machine.driver, 1, PLAIN) as whole:
        assert machine.seconds(*machine.torch_ways(kept, whole.compute)) == 0.007


def test_what_nvidia_smi_says(made: tuple[OnGpu, Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    machine, _ = made
    monkeypatch.setattr(on_gpu.shutil, "which", lambda name: None)
    assert machine.environment()["driver"] == "unknown: no nvidia-smi"
    monkeypatch.setattr(on_gpu.shutil, "which", lambda name: "/bin/nvidia-smi")
    said = "580.95, 1755 MHz, 2619 MHz, 1980 MHz, 95.10 W, 700.00 W, 31\n"
    answer = type("Answer", (), {"stdout": said})
    monkeypatch.setattr(on_gpu.subprocess, "run", lambda *_, **__: answer)
    found = machine.environment()
    assert (found["gpu"], found["cuda"], found["driver"]) == ("emulated H100", "13.0", "580.95")
    assert found["clocks"]["clocks.sm"] == "1755 MHz"
    assert found["clocks"]["temperature.gpu"] == "31"
