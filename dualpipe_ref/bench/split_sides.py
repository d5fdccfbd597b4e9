"""The two sides of the split bench: I and W of this runtime, and those of torch.distributed.pipelining, on equal modules."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.pipelining._backward import stage_backward_input, stage_backward_weight

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.chunk import ChunkRun, parts_of
from dualpipe_ref.runtime.live_bytes import LiveBytes


@dataclass(frozen=True)
class Case:
    """What is run: `layers` layers of the model on one sequence of `tokens`, or with 0 layers a single Linear.

    `changes` are sizes of the model that differ from `model`, such as those that leave out the experts.
    """

    name: str
    layers: int
    tokens: int
    model: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)

    def config(self) -> ModelConfig:
        """The sizes as the model takes them: three times the layers, of which the middle third is run."""
        return ModelConfig(**{**self.model, **self.changes, "layers": 3 * max(1, self.layers)})

    def module(self) -> nn.Module:
        """A new copy; every copy begins with the same parameters."""
        config = self.config()
        if not self.layers:
            torch.manual_seed(0)
            return nn.Linear(config.hidden, config.hidden)
        buffer = Buffer(Topology(1, 1), config.experts, Alone())
        return Stage(config, 1, 3, buffer)

    def data(self) -> tuple[Tensor, Tensor]:
        """An input and the gradient of what becomes of it, [1, tokens, hidden]; for a Linear [tokens, hidden]."""
        generator = torch.Generator().manual_seed(1)
        size = [1, self.tokens, self.config().hidden][0 if self.layers else 1 :]
        return torch.randn(size, generator=generator), torch.randn(size, generator=generator)


class Side(Protocol):
    """One of the two, for one backward after another."""

    module: nn.Module

    def forward(self) -> None: ...

    def input_half(self) -> Tensor:
        """I; the gradient of the input."""
        ...

    def weight_half(self) -> None: ...


class Ours:
    """A chunk of the runtime, cut at its parts as for every schedule with I and W."""

    def __init__(self, case: Case) -> None:
        self.module = case.module()
        self.source, self.gradient = case.data()

    def forward(self) -> None:
        self.chunk = ChunkRun(parts_of(self.module), self.source, None)
        self.chunk.forward()

    def input_half(self) -> Tensor:
        self.chunk.judge_back(self.gradient, split=True)
        self.chunk.backward(split=True)
        (found,) = self.chunk.gradients
        assert found is not None
        self.chunk.values = self.chunk.gradients = ()
        return found

    def weight_half(self) -> None:
        self.chunk.weights()


class Theirs:
    """One graph, and torch's own two functions for its halves."""

    def __init__(self, case: Case) -> None:
        self.module = case.module()
        self.source, self.gradient = case.data()

    def forward(self) -> None:
        self.input = self.source.detach().requires_grad_()
        self.outputs = [self.module(self.input)]

    def input_half(self) -> Tensor:
        (found,), self.groups = stage_backward_input(
            self.outputs, [self.gradient], [self.input], self.module.parameters()
        )
        self.outputs = []
        assert found is not None
        return found

    def weight_half(self) -> None:
        stage_backward_weight(self.module.parameters(), self.groups)
        self.groups = []


class Whole:
    """Autograd's one backward, which both are compared with: all of it counts as I."""

    def __init__(self, case: Case) -> None:
        self.module = case.module()
        self.source, self.gradient = case.data()

    def forward(self) -> None:
        self.input = self.source.detach().requires_grad_()
        self.output = self.module(self.input)

    def input_half(self) -> Tensor:
        self.output.backward(self.gradient)
        del self.output
        assert self.input.grad is not None
        return self.input.grad

    def weight_half(self) -> None:
        """Done."""


SIDES: dict[str, Callable[[Case], Side]] = {"ours": Ours, "torch": Theirs, "whole": Whole}


def gradients(side: Side) -> dict[str, Tensor | None]:
    """Those of the input and of all parameters after one backward."""
    _forget(side)
    side.forward()
    found: dict[str, Tensor | None] = {"the input": side.input_half()}
    side.weight_half()
    return found | {name: one.grad for name, one in side.module.named_parameters()}


def differences(sides: Sequence[Side]) -> list[str]:
    """Where the gradients of these sides are not the same bits."""
    first, *others = (gradients(side) for side in sides)
    return [
        f"the gradient of {name} on side {number}"
        for number, other in enumerate(others, start=1)
        for name, gradient in first.items()
        if not _are_equal(gradient, other[name])
    ]


def _are_equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(torch.equal(one, other))


def timed(side: Side) -> tuple[float, float]:
    """Seconds of I and of W. The forward is outside; gradients begin anew each time."""
    _forget(side)
    side.forward()
    gc.collect()
    start = time.perf_counter()
    side.input_half()
    middle = time.perf_counter()
    side.weight_half()
    return middle - start, time.perf_counter() - middle


class Held(NamedTuple):
    """Bytes of live tensors beside the parameters and their gradients: the most from the start of I to the end of W, and between them."""

    peak: int
    waiting: int


def held(side: Side) -> Held:
    """Memory of one backward, op by op; gradients of parameters are there before, as from the second micro-batch on."""
    gradients(side)
    parameters = list(side.module.parameters())
    gc.collect()
    with LiveBytes() as count:
        count.name("parameters", parameters)
        count.name("gradients", [one.grad for one in parameters])
        side.forward()
        kept = count.by_kind["parameters"] + count.by_kind["gradients"]
        count.restart()
        found = side.input_half()
        del found
        gc.collect()
        waiting = count.live - kept
        side.weight_half()
        return Held(count.peak - kept, waiting)


def _forget(side: Side) -> None:
    side.module.zero_grad(set_to_none=True)
