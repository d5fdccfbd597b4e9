"""A pair of chunks over the emulator: it leaves the same in turns, is what the simulator says of its parts, and is a trace."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from dualpipe_ref.bench.chunk_pair import (
    SAME,
    TINY_PAIR,
    V3_PAIR,
    ChunkPair,
    Left,
    PartTimes,
    check_same,
    measured,
)
from dualpipe_ref.bench.chunk_trace import TRACKS, Recording, chunk_trace
from dualpipe_ref.bench.whole_step import version_on
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.on_emulator import one_thread
from dualpipe_ref.plot.trace import write_events
from dualpipe_ref.runtime.all_ranks import all_ranks
from dualpipe_ref.runtime.overlap import serial_order
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, PairRun, needs, published_order


@pytest.fixture(autouse=True)
def one_thread_a_rank() -> Iterator[None]:
    with one_thread():
        yield


def pair_on(version: str) -> tuple[ChunkPair, Recording]:
    heard = Recording(Emulated(Topology(2, 1), lanes=8, link="copying", one_gpu=True))
    config = TINY_PAIR.config
    exchange = version_on(
        version,
        heard,
        2,
        hidden=config.hidden,
        most_tokens=TINY_PAIR.tokens,
        experts_per_token=config.experts_per_token,
        number_bytes=2,
    )
    return ChunkPair(TINY_PAIR, exchange, heard.device, nullcontext), heard


@pytest.mark.parametrize("version", ["direct", "queues"])
def test_both_ways_leave_the_same_and_run_every_part_in_its_order(version: str) -> None:
    """`measured` compares what they leave, in every bit."""
    pair, _ = pair_on(version)
    found = measured(pair, runs=1)
    for run in (found.overlapped, found.serial):
        for piece, before in needs(1).items():
            began = run.spans[piece][0]
            assert before is None or began >= run.spans[before][1], f"{piece} before the {before}"
        assert min(began for began, _ in run.spans.values()) == 0
    ran = sorted(found.serial.spans, key=lambda piece: found.serial.spans[piece][0])
    assert ran == serial_order(1)
    for lane in Lane:
        order = list(published_order(1)[lane])
        assert sorted(order, key=lambda piece: found.overlapped.spans[piece][0]) == order
    # One after another: all parts and what lies between them.
    alone = found.times.all_of(Lane.COMPUTE) + found.times.all_of(Lane.NETWORK)
    assert lower_bound(1, found.times) <= alone <= found.serial.length


def test_parts_take_the_median_of_what_they_took() -> None:
    (piece,) = serial_order(1)[:1]
    runs = [PairRun({piece: (1.0, 1.0 + took)}) for took in (5.0, 1.0, 2.0)]
    assert (
        PartTimes(runs).of(piece) == median((5.0, 1.0, 2.0)) == PartTimes(runs).all_of(piece.lane)
    )


def test_what_a_swapped_exchange_leaves_is_seen() -> None:
    pair, _ = pair_on("direct")
    _, left = pair.run(overlapped=False)
    check_same(left, pair.run(overlapped=True)[1])
    combine = pair.exchange.inner.combine

    def swapped(outputs, handles, weights=None):  # type: ignore[no-untyped-def]
        return combine(outputs, handles, weights)[::-1]

    pair.exchange.inner.combine = swapped  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="taking turns changed what is left"):
        check_same(left, pair.run(overlapped=True)[1])


def test_numbers_that_differ_are_seen() -> None:
    left = Left(torch.ones(2), torch.ones(2), [])
    check_same(left, left)
    with pytest.raises(RuntimeError, match="taking turns changed what is left"):
        check_same(left, left._replace(gradients=torch.full((2,), 1 + 2 * SAME)))


def test_a_trace_has_every_part_and_every_block_of_the_kernels(tmp_path: Path) -> None:
    pair, heard = pair_on("direct")
    pair.run(overlapped=False)
    assert heard.kernel_blocks() == []
    heard.is_on, pair.began = True, heard.records.clear
    run, _ = pair.run(overlapped=True)
    blocks = heard.kernel_blocks()
    write_events(chunk_trace(run, blocks, name="tiny"), tmp_path / "pair.json")
    trace = json.loads((tmp_path / "pair.json").read_text())
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    parts = [event for event in slices if event["tid"] in TRACKS.values()]
    assert sorted(event["name"] for event in parts) == sorted(map(str, needs(1)))
    # Two ranks with two blocks each; there and back for each chunk, and nothing of what was run before the pair.
    names = Counter(event["name"] for event in slices if event not in parts)
    assert names["direct_dispatch.dispatch"] == names["direct_combine.combine"] == 2 * 4
    first = min(event["ts"] for event in slices if event not in parts)
    exchanges = [event["ts"] for event in parts if event["tid"] == TRACKS[Lane.NETWORK]]
    assert first == pytest.approx(min(exchanges))
    alone = chunk_trace(run, [], name="tiny")["traceEvents"]
    assert [event["name"] for event in alone if event["ph"] == "X"] == [e["name"] for e in parts]


def test_the_shape_of_a_gpu_is_deepseek_s_layer() -> None:
    config = V3_PAIR.config
    assert (config.hidden, config.expert_hidden, config.experts_per_token) == (7168, 2048, 8)
    assert config.experts == 4 * 4  # four experts a rank, as V3 trains with 64 ranks


@pytest.mark.parametrize("overlapped", [True, False])
def test_communication_is_on_its_way_while_computation_begins(overlapped: bool) -> None:
    """The forward's combine ends only when the backward of attention has begun: one after another, it never would."""
    pair, _ = pair_on("direct")
    begun, combine, armed = threading.Event(), pair.exchange.inner.combine, list[bool]()
    for stage in pair.stages:
        for layer in stage.layers:
            layer.attention = _told(begun.set, layer.attention)
    pair.parts = all_ranks([stage.parts() for stage in pair.stages])
    pair.began = lambda: armed.append(True)

    def waits(outputs, handles, weights=None):  # type: ignore[no-untyped-def]
        if armed and weights is None and not begun.wait(60 if overlapped else 0):
            raise TimeoutError("nothing is computed beside it")
        return combine(outputs, handles, weights)

    pair.exchange.inner.combine = waits  # type: ignore[method-assign]
    if overlapped:
        pair.run(overlapped=True)
        return
    with pytest.raises(TimeoutError):
        pair.run(overlapped=False)


def _told(say: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and says when its backward begins."""

    def both(*values: Any) -> Any:
        residual, *others = function(*values)
        residual.register_hook(lambda _: say())
        return residual, *others

    return both
