"""The model over the kernels on a GPU: a pair of chunks that take turns, and a whole DualPipe step, beside the CPU run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch

from dualpipe_ref.bench.chunk_pair import TINY_PAIR, ChunkPair, Left
from dualpipe_ref.bench.whole_step import (
    Case,
    allowed,
    distance,
    exchange_on,
    is_near,
    step_of,
    stepped,
    version_on,
)
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.on_emulator import one_thread
from tests.gpu.conftest import IS_EMULATED

P, GRID = (2, Topology(2, 1)) if IS_EMULATED else (4, Topology(2, 2))


@pytest.fixture(autouse=True)
def one_thread_a_rank() -> Iterator[None]:
    with one_thread():
        yield


def blocks_of(transport: Any) -> int:
    return 2 if IS_EMULATED else min(20, transport.sms_per_rank // 2 * 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("kind", "version"), [("dualpipe", "direct"), ("dualpipev", "queues")])
def test_a_step_is_as_near_to_the_cpu_run_as_rounding_allows(
    kind: str, version: str, dtype: torch.dtype, transport_of: Callable[..., Any]
) -> None:
    case = Case(kind, P, GRID, version, dtype)
    grid = GRID.nodes, GRID.gpus_per_node
    transport = transport_of(*grid)
    step = step_of(
        case,
        lambda: exchange_on(case, transport_of(*grid), blocks_of(transport)),
        transport.device,
        patience=120,
    )
    found = distance(case, stepped(case, step))
    assert is_near(found, allowed(case)), f"{found}, allowed {allowed(case)}"


@contextmanager
def beside() -> Iterator[None]:
    """On a GPU, computation in a stream of its own."""
    with nullcontext() if IS_EMULATED else torch.cuda.stream(torch.cuda.Stream()):
        yield


def left_by(transport: Any, version: str, dtype: torch.dtype, *, overlapped: bool) -> Left:
    """What a pair leaves on a transport, brought to the CPU; the model is drawn there, so that it is the same everywhere."""
    exchange = version_on(
        version,
        transport,
        2 if transport.device.type == "cpu" else blocks_of(transport),
        hidden=TINY_PAIR.config.hidden,
        most_tokens=TINY_PAIR.tokens,
        experts_per_token=TINY_PAIR.config.experts_per_token,
        number_bytes=dtype.itemsize,
    )
    pair = ChunkPair(TINY_PAIR, exchange, transport.device, beside, dtype, draw_on="cpu")
    run, left = pair.run(overlapped=overlapped)
    assert all(began <= ended for began, ended in run.spans.values())
    return Left(left.results.cpu(), left.gradients.cpu(), [one.cpu() for one in left.weights])


@pytest.mark.parametrize("version", ["direct", "queues"])
def test_chunks_that_take_turns_leave_what_they_leave_on_the_cpu(
    version: str, transport_of: Callable[..., Any]
) -> None:
    dtype = torch.float32
    emulated = Emulated(Topology(2, 2), link="copying", lanes=8)
    wanted = left_by(emulated, version, dtype, overlapped=False)
    for overlapped in (False, True):
        got = left_by(transport_of(2, 2), version, dtype, overlapped=overlapped)
        pairs = zip((got.results, got.gradients), (wanted.results, wanted.gradients), strict=True)
        for one, other in [*pairs, *zip(got.weights, wanted.weights, strict=True)]:
            # Float32 in another order; a token that went to another expert would be far beyond it.
            assert float((one - other).norm()) <= 1e-5 * float(other.norm())
