"""A forward and a backward chunk of the model's layers on one device, all ranks of it together: overlapped, and not.

One thread computes: each part for every rank, one rank after another, on the SMs of computation (`runtime.all_ranks`). The
ranks' buffers communicate in threads of their own: a dispatch or combine of all ranks is one launch on the SMs of
communication, for whose end a thread waits. So a part of all ranks' computation lies beside a part of all ranks'
communication, as on each GPU of a cluster one rank's lies beside one rank's.

What is measured: when each part began and ended, by events on the stream that it ran on (without a GPU by the clock of the
thread), and from the first begin to the last end the whole. That includes what the host does: its launches, the sizes that
it waits for, the checks of an exchange. What is not: any link, since there is one GPU; memory between ranks at its speed;
the small copies around an exchange keep to no SMs. Embedding, loss and the putting together of ranks are outside of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.together import Meeting
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.model.initial import drawn_on
from dualpipe_ref.runtime.all_ranks import all_ranks
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.overlap import (
    overlapped_forward_backward,
    serial_forward_backward,
    serial_order,
)
from dualpipe_ref.simulate.lanes import Lane, PairRun, Piece, published_order

SAME = 2**-6  # of the length of what both ways leave: two roundings of bfloat16
RUNS = 5


class PairShape(NamedTuple):
    """`layers` of a model on each of the ranks of a topology, for `tokens` of each rank."""

    config: ModelConfig
    layers: int
    tokens: int


def shape_of(layers: int, tokens: int, **sizes: Any) -> PairShape:
    """The layers stand between an embedding and a loss, in stage 1 of 3."""
    return PairShape(ModelConfig(vocabulary=8, layers=3 * layers, **sizes), layers, tokens)


# DeepSeek-V3's layer (arXiv:2412.19437, section 4.2), four of its experts a rank as in its training. Tensors counted by
# `runtime.live_bytes` at a sixteenth of each size, scaled up: weights of two layers on four ranks take 6.7 GB in bfloat16,
# their gradients as much; with 2,048 tokens a rank at most 46 GB are alive at once, 39 of them activations. With 4,096
# tokens it would be 85 GB, and a GPU of 80 GB too small. Not counted: what kernels take inside, heaps, gaps.
V3_PAIR = shape_of(
    2, 2048, hidden=7168, heads=128, head_dim=128, rotary_dim=64, query_latent=1536,
    key_value_latent=512, experts=16, experts_per_token=8, expert_hidden=2048,
)  # fmt: skip
TINY_PAIR = shape_of(
    1, 2, hidden=64, heads=2, head_dim=4, rotary_dim=2, key_value_latent=8, experts=8,
    experts_per_token=2, expert_hidden=8,
)  # fmt: skip


class Marks:
    """Moments on the stream of the thread that asks, or without a GPU of its clock; seconds from `begin` on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begin()

    def begin(self) -> None:
        """Nothing runs, and time counts from here."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._first = self.mark()

    def mark(self) -> Any:
        """This moment."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, mark: Any) -> float:
        """When it was; on a GPU once it has been reached."""
        if self.device.type != "cuda":
            return float(mark - self._first)
        mark.synchronize()
        return float(self._first.elapsed_time(mark)) / 1e3


class Watched:
    """An exchange that does what another does, and keeps the begin and end of each call."""

    def __init__(self, inner: Exchange, marks: Marks) -> None:
        self.inner, self.marks = inner, marks
        self.topology, self.ranks = inner.topology, inner.ranks
        self.calls: list[tuple[Any, Any]] = []

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
    ) -> list[tuple[Received, Any]]:
        with self._call():
            return self.inner.dispatch(outgoing, experts, handles)

    def combine(
        self, outputs: Sequence[Tensor], handles: Sequence[Any], weights: Any = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        with self._call():
            return self.inner.combine(outputs, handles, weights)

    @contextmanager
    def _call(self) -> Iterator[None]:
        began = self.marks.mark()
        yield
        self.calls.append((began, self.marks.mark()))


class Left(NamedTuple):
    """What a pair leaves: the forward's results and the gradients of the backward's inputs [R, 1, S, H], and of weights."""

    results: Tensor
    gradients: Tensor
    weights: list[Tensor]


class ChunkPair:
    """A pair of one shape over an exchange of R ranks here. `computing` puts what is inside onto the SMs of computation.

    Weights are drawn on the device, or on `draw_on`, where the same seed has other numbers.
    """

    def __init__(
        self,
        shape: PairShape,
        exchange: Exchange,
        device: torch.device,
        computing: Callable[[], AbstractContextManager[Any]],
        dtype: torch.dtype = torch.bfloat16,
        *,
        draw_on: str | None = None,
    ) -> None:
        self.shape, self.computing, self.marks = shape, computing, Marks(device)
        # Called where a pair begins, after the forward of the chunk that goes back.
        self.began: Callable[[], object] = lambda: None
        self.exchange = Watched(exchange, self.marks)
        meeting = Meeting(self.exchange)
        topology, ranks = exchange.topology, len(exchange.ranks)
        self.stages: list[Stage] = []
        with drawn_on(draw_on or str(device)):
            for rank in exchange.ranks:
                seat = meeting.of(rank, background=True)
                buffer = Buffer(topology, shape.config.experts, seat)
                self.stages.append(Stage(shape.config, 1, 3, buffer).to(device, dtype))
        self.parts = all_ranks([one.parts() for one in self.stages])
        draw = torch.Generator().manual_seed(1)
        size = (ranks, 1, shape.tokens, shape.config.hidden)
        self.sources = [torch.randn(*size, generator=draw).to(device, dtype) for _ in range(2)]
        self.gradient = torch.randn(*size, generator=draw).to(device, dtype)

    def run(self, *, overlapped: bool) -> tuple[PairRun, Left]:
        """The pair once, in the published order or part after part: when its pieces ran, in seconds, and what it left."""
        for stage in self.stages:
            stage.zero_grad(set_to_none=True)
        spans: list[tuple[Piece, Any, Any]] = []

        @contextmanager
        def watch(piece: Piece) -> Iterator[None]:
            began = self.marks.mark()
            yield
            spans.append((piece, began, self.marks.mark()))

        # Backward passes run here: torch's own thread for them would be one more beside those that communicate.
        with torch.autograd.set_multithreading_enabled(False), self._on_its_sms():
            old, new = (ChunkRun(self.parts, one, None) for one in self.sources)
            old.forward()
            self.exchange.calls.clear()
            self.began()
            self.marks.begin()
            if overlapped:
                overlapped_forward_backward(new, old, self.gradient, published_order, watch)
                order = published_order(self.shape.layers)[Lane.NETWORK]
            else:
                serial_forward_backward(new, old, self.gradient, watch)
                order = [one for one in serial_order(self.shape.layers) if one.lane is Lane.NETWORK]
        spans += [(piece, *call) for piece, call in zip(order, self.exchange.calls, strict=True)]
        (gradients,) = old.gradients
        assert gradients is not None
        weights = [_gradient(one) for stage in self.stages for one in stage.parameters()]
        return _run(spans, self.marks), Left(new.values[0].detach(), gradients, weights)

    @contextmanager
    def _on_its_sms(self) -> Iterator[None]:
        """What was made before is there, and what is made inside is there afterwards."""
        if self.marks.device.type == "cuda":
            torch.cuda.synchronize(self.marks.device)
        with self.computing():
            yield
        if self.marks.device.type == "cuda":
            torch.cuda.synchronize(self.marks.device)


class Measured(NamedTuple):
    """Median runs, overlapped and with the same parts one after another, and `times`, the median of each part by itself."""

    overlapped: PairRun
    serial: PairRun
    times: PartTimes


class PartTimes:
    """`simulate.lanes.PieceTimes` in seconds: the median of each part over runs in which nothing ran beside it."""

    def __init__(self, runs: Sequence[PairRun]) -> None:
        self.spans = [one.spans for one in runs]

    def of(self, piece: Piece) -> float:
        return median(float(one[piece][1] - one[piece][0]) for one in self.spans)

    def all_of(self, lane: Lane) -> float:
        """All parts of a lane."""
        return sum(self.of(piece) for piece in self.spans[0] if piece.lane is lane)


def measured(pair: ChunkPair, runs: int = RUNS) -> Measured:
    """Both ways in turns, after one of each to warm up. Raises `RuntimeError` where they do not leave the same."""
    check_same(pair.run(overlapped=False)[1], pair.run(overlapped=True)[1])
    serial, overlapped = [], []
    for _ in range(runs):
        serial.append(pair.run(overlapped=False)[0])
        overlapped.append(pair.run(overlapped=True)[0])
    return Measured(_middle(overlapped), _middle(serial), PartTimes(serial))


def serial_seconds(pair: ChunkPair, runs: int = RUNS) -> float:
    """The parts one after another, first begin to last end; the median, after one run to warm up."""
    return float(_middle([pair.run(overlapped=False)[0] for _ in range(runs + 1)][1:]).length)


def check_same(one: Left, other: Left) -> None:
    """Raises `RuntimeError` unless both ways left the same: on a CPU in every bit, on a GPU within `SAME`."""
    both = ((left.results, left.gradients, *left.weights) for left in (one, other))
    for a, b in zip(*both, strict=True):
        if torch.equal(a, b):
            continue
        off = float((a.float() - b.float()).norm() / b.float().norm())
        if a.device.type == "cpu" or not off <= SAME:
            raise RuntimeError(f"taking turns changed what is left: by {off:.2g} of its length")


def _middle(runs: list[PairRun]) -> PairRun:
    return sorted(runs, key=lambda one: one.length)[len(runs) // 2]


def _run(spans: Sequence[tuple[Piece, Any, Any]], marks: Marks) -> PairRun:
    """All pieces by one clock, from the first begin on."""
    found = {piece: (marks.seconds(began), marks.seconds(ended)) for piece, began, ended in spans}
    first = min(began for began, _ in found.values())
    return PairRun({piece: (a - first, b - first) for piece, (a, b) in found.items()})


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
