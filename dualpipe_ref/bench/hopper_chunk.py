"""Sections of `bench hopper`: a forward and a backward chunk on two streams, and a whole DualPipe step beside its CPU run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from dualpipe_ref.bench.hopper_sections import DEEPSEEK, OVERLAP_GRID, Kept, Task
from dualpipe_ref.bench.results import Row
from dualpipe_ref.bench.targets import limit
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.arithmetic import exposed_share
from dualpipe_ref.hopper.reserve import Half, Reservation, reserve
from dualpipe_ref.hopper.ways import PLAIN, ways
from dualpipe_ref.plot.trace import trace_events
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, published_order, run_pair

if TYPE_CHECKING:
    from dualpipe_ref.bench.chunk_pair import ChunkPair, PairShape
    from dualpipe_ref.bench.chunk_trace import Recording
    from dualpipe_ref.hopper.measuring import Machine

# SMs that a version's blocks take: those of queues come in pairs, one pair a channel.
VERSIONS = {"direct": DEEPSEEK, "queues": 24}


class Tools(NamedTuple):
    """What differs between a GPU and the emulator: sizes, and how transports and computation get to a half of it."""

    shape: PairShape
    runs: int
    transport: Callable[[Topology, Half | None], Any]
    computing: Callable[[Half], AbstractContextManager[Any]]
    # Gives back the memory of what is not used any more.
    tidy: Callable[[], Any]
    # Blocks of a rank by version, SMs of the half and ranks.
    blocks: Callable[[str, int, int], int]
    # Ranks that share experts, and pipeline ranks of the whole step.
    grid: Topology
    ranks: int


def tools_of(machine: Machine) -> Tools:
    """Those of a machine."""
    from dualpipe_ref.bench.chunk_pair import RUNS, TINY_PAIR, V3_PAIR
    from dualpipe_ref.hopper.on_emulator import LANES, OnEmulator, one_thread

    if isinstance(machine, OnEmulator):
        from dualpipe_ref.comm.transport.emulated import Emulated

        return Tools(
            TINY_PAIR,
            1,
            lambda grid, half: Emulated(grid, lanes=LANES, link="copying", one_gpu=True),
            lambda half: one_thread(),
            gc.collect,
            lambda version, sms, ranks: 1 if version == "direct" else 2,
            Topology(2, 1),
            2,
        )
    from dualpipe_ref.comm.transport.one_gpu import OneGpu

    sms = machine.driver.gpu.sms

    def transport(grid: Topology, half: Half | None) -> OneGpu:
        return OneGpu(grid) if half is None else OneGpu(grid, sms=half.sms, stream=half.torch())

    return Tools(
        V3_PAIR,
        RUNS,
        transport,
        lambda half: _on_half(half, sms - half.sms),
        _tidy,
        lambda version, sms, ranks: sms // ranks if version == "direct" else sms // ranks // 2 * 2,
        OVERLAP_GRID,
        4,
    )


def _tidy() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()


@contextmanager
def _on_half(half: Half, taken: int) -> Iterator[None]:
    import torch

    from dualpipe_ref.hopper.on_gpu import told

    with torch.cuda.stream(half.torch()), told(taken):
        yield


def step(machine: Machine, kept: Kept) -> Iterator[Task]:
    """A whole DualPipe step, all ranks of it on this GPU, beside the CPU run of the same model."""
    import torch

    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).rpartition(".")[2]
        yield Task(name, lambda dtype=dtype, name=name: _step(tools_of(machine), kept, dtype, name))  # type: ignore[misc]


def _step(tools: Tools, kept: Kept, dtype: Any, name: str) -> Iterator[Row]:
    import torch

    from dualpipe_ref.bench.whole_step import (
        Case,
        allowed,
        distance,
        exchange_on,
        step_of,
        stepped,
    )
    from dualpipe_ref.hopper.on_emulator import one_thread

    case = Case("dualpipe", tools.ranks, tools.grid, "direct", dtype)
    transport = tools.transport(case.topology, None)
    device: torch.device = transport.device
    blocks = tools.blocks(case.version, DEEPSEEK, case.topology.ranks)
    with one_thread() if device.type == "cpu" else nullcontext():
        made = step_of(
            case,
            lambda: exchange_on(case, tools.transport(case.topology, None), blocks),
            device,
        )
        found, room = distance(case, stepped(case, made)), allowed(case)
    kept.traces[f"step_{name}"] = trace_events(made.recorded().timeline(made.schedule))
    prefix = f"hopper.step_dualpipe_{tools.ranks}x{case.topology.ranks}_{name}"
    yield Row(f"{prefix}_loss", found.loss, "of the loss, from the CPU run")
    yield _share(f"{prefix}_loss_share", found.loss / room.loss)
    yield Row(f"{prefix}_gradients", found.all_gradients, "of their length, from the CPU run")
    yield _share(f"{prefix}_gradients_share", found.all_gradients / room.all_gradients)


def _share(name: str, value: float) -> Row:
    return Row(name, value, "of what is allowed", limit(name))


def chunk(machine: Machine, kept: Kept) -> Iterator[Task]:
    """Each version with the strictest reservation that this GPU has."""
    way = next(one.name for one in ways(machine.driver.gpu) if one.ready)
    for version, sms in VERSIONS.items():
        yield Task(version, lambda v=version, s=sms: _chunk(machine, kept, v, s, way))  # type: ignore[misc]


def _chunk(machine: Machine, kept: Kept, version: str, sms: int, way: str) -> Iterator[Row]:
    from dualpipe_ref.bench.chunk_pair import measured, serial_seconds
    from dualpipe_ref.bench.chunk_trace import chunk_trace

    tools = tools_of(machine)
    with reserve(machine.driver, sms, way) as halves, reserve(machine.driver, 1, PLAIN) as whole:
        pair, heard = _pair(tools, version, halves)
        found = measured(pair, tools.runs)
        heard.is_on, pair.began = True, heard.records.clear
        recorded, _ = pair.run(overlapped=True)
        name = f"{version}, a forward and a backward chunk, {halves.given}"
        kept.traces[f"chunk_{version}"] = chunk_trace(recorded, heard.kernel_blocks(), name=name)
        heard.is_on, pair.computing = False, lambda: tools.computing(whole.compute)
        on_all = serial_seconds(pair, tools.runs)
    layers, times = tools.shape.layers, found.times
    compute, network = times.all_of(Lane.COMPUTE), times.all_of(Lane.NETWORK)
    bound = float(lower_bound(layers, times))
    together, serial = float(found.overlapped.length), float(found.serial.length)
    prefix = f"hopper.chunk_{version}_{tools.grid.nodes}x{tools.grid.gpus_per_node}"
    yield Row(f"{prefix}_overlapped", 1e3 * together, f"ms; layers: {layers}, {way}, no link")
    yield Row(f"{prefix}_serial", 1e3 * serial, "ms; the same parts one after another")
    yield Row(f"{prefix}_serial_on_all", 1e3 * on_all, "ms; that, computation on all SMs")
    yield Row(f"{prefix}_bound", 1e3 * bound, "ms; no order of these parts is shorter")
    order = float(run_pair(published_order(layers), times).length)
    yield Row(f"{prefix}_order", 1e3 * order, "ms; the published order, were no part slower")
    yield Row(f"{prefix}_computation", 1e3 * compute, "ms of parts by themselves")
    yield Row(f"{prefix}_communication", 1e3 * network, "ms of parts by themselves")
    share = exposed_share(together, compute, network)
    yield Row(f"{prefix}_exposed", share, "of communication")
    yield Row(
        f"{prefix}_exposed_serial", exposed_share(serial, compute, network), "the same, serial"
    )
    yield Row(f"{prefix}_exposed_bound", exposed_share(bound, compute, network), "the same, bound")


def _pair(tools: Tools, version: str, halves: Reservation) -> tuple[ChunkPair, Recording]:
    from dualpipe_ref.bench.chunk_pair import ChunkPair
    from dualpipe_ref.bench.chunk_trace import Recording
    from dualpipe_ref.bench.whole_step import version_on

    half, shape = halves.communication, tools.shape
    tools.tidy()
    heard = Recording(tools.transport(tools.grid, half))
    exchange = version_on(
        version,
        heard,
        tools.blocks(version, half.sms, tools.grid.ranks),
        hidden=shape.config.hidden,
        most_tokens=shape.tokens,
        experts_per_token=shape.config.experts_per_token,
        number_bytes=2,
    )
    pair = ChunkPair(shape, exchange, heard.device, lambda: tools.computing(halves.compute))
    return pair, heard
