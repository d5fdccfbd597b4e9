"""Modules of all sorts, and both ways to go backward through them: autograd's, and I and W."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import Layer, ModelConfig
from dualpipe_ref.model.attention import LatentAttention, Norm, PlainAttention
from dualpipe_ref.model.experts import GatedMLP
from dualpipe_ref.model.layer import DenseLayer
from dualpipe_ref.runtime.split_backward import input_gradients, splittable

Gradients = tuple[Tensor | None, ...]


class Sizes(NamedTuple):
    """Of a module and of what it gets: [batch, tokens, hidden]."""

    batch: int = 2
    tokens: int = 5
    hidden: int = 12
    experts: int = 4

    def config(self) -> ModelConfig:
        return ModelConfig(
            vocabulary=11,
            hidden=self.hidden,
            layers=2,
            heads=2,
            head_dim=4,
            rotary_dim=2,
            key_value_latent=5,
            experts=self.experts,
            experts_per_token=min(2, self.experts),
            expert_hidden=7,
        )

    def buffer(self) -> Buffer:
        return Buffer(Topology(1, 1), self.experts, Alone())


class Shared(nn.Module):
    """One weight used twice, at different depths: no W could tell its paths apart."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, hidden)

    def forward(self, values: Tensor) -> Tensor:
        return self.last(torch.tanh(self.inner(torch.tanh(self.inner(values)))))


class Tied(nn.Module):
    """A table that is the embedding of the next module's tokens and the head too, with a weight of its own between."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(7, hidden))
        self.between = nn.Linear(hidden, hidden)

    def forward(self, values: Tensor) -> Tensor:
        rows = functional.embedding(torch.arange(values.shape[1]) % 7, self.table)
        return functional.linear(torch.tanh(self.between(values + rows)), self.table)


class Normalized(nn.Module):
    """A weight that is itself computed, from a direction and a length; the bias enters by two ways."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(hidden, hidden))
        self.length = nn.Parameter(torch.ones(hidden, 1))
        self.bias = nn.Parameter(torch.randn(hidden))

    def forward(self, values: Tensor) -> Tensor:
        weight = self.length * self.direction / self.direction.norm(dim=1, keepdim=True)
        return functional.linear(values, weight, self.bias * torch.sigmoid(self.bias))


class Unused(nn.Module):
    """A parameter that does nothing, and a branch that leads to no input."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.never = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.ones(hidden))
        self.gain = nn.Parameter(torch.ones(hidden))

    def forward(self, values: Tensor) -> Tensor:
        return values * 2 + torch.exp(self.bias) * self.gain


class InPlace(nn.Module):
    """Writes into a part of what it has made."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.gain = nn.Parameter(torch.full((hidden,), 1.5))

    def forward(self, values: Tensor) -> Tensor:
        made = self.first(values).clone()
        made[:, :1] *= self.gain
        made[:, -1:].add_(self.second(values)[:, -1:])
        return torch.sin(made)


@splittable
class Scaled(torch.autograd.Function):
    """x * gain * factor, in halves; each half is counted."""

    halves: list[tuple[bool, ...]] = []  # noqa: RUF012 - the tests empty it

    @staticmethod
    def forward(ctx, factor: float, values: Tensor, gain: Tensor, unused: Tensor) -> Tensor:
        ctx.factor = factor
        ctx.save_for_backward(values, gain)
        return values * gain * factor

    @staticmethod
    def backward(ctx, gradient: Tensor):
        values, gain = ctx.saved_tensors
        _, of_values, of_gain, _ = ctx.needs_input_grad
        Scaled.halves.append((of_values, of_gain))
        return (
            None,
            gradient * gain * ctx.factor if of_values else None,
            (gradient * values * ctx.factor).flatten(0, -2).sum(0) if of_gain else None,
            None,
        )


class WithFunction(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(hidden))
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, values: Tensor) -> Tensor:
        return self.linear(Scaled.apply(0.5, self.linear(values), self.gain, torch.ones(1)))


MODULES: dict[str, Callable[[Sizes], nn.Module]] = {
    "linear": lambda sizes: nn.Linear(sizes.hidden, sizes.hidden + 1),
    "norm": lambda sizes: Norm(sizes.hidden, 1e-6),
    "torch's layer norm": lambda sizes: nn.LayerNorm(sizes.hidden),
    "torch's batch norm": lambda sizes: nn.BatchNorm1d(sizes.tokens),
    "convolution": lambda sizes: nn.Conv1d(sizes.tokens, 3, 1),
    "gated MLP": lambda sizes: GatedMLP("mlp", sizes.hidden, 7, 0),
    "latent attention": lambda sizes: LatentAttention(sizes.config(), "a", 0),
    "plain attention": lambda sizes: PlainAttention(sizes.config(), "a", 0),
    "dense layer": lambda sizes: DenseLayer(sizes.config(), 0, 0),
    "layer with experts": lambda sizes: Layer(sizes.config(), 0, 0, sizes.buffer()),
    "two layers": lambda sizes: nn.Sequential(
        *(Layer(sizes.config(), number, 0, sizes.buffer()) for number in (0, 1))
    ),
    "a layer that is computed again": lambda sizes: Layer(
        replace(sizes.config(), recompute="full"), 0, 0, sizes.buffer()
    ),
    "torch's block": lambda sizes: nn.TransformerEncoderLayer(
        sizes.hidden, 2, 24, 0.0, batch_first=True
    ),
    "a shared weight": lambda sizes: Shared(sizes.hidden),
    "a tied table": lambda sizes: Tied(sizes.hidden),
    "a computed weight": lambda sizes: Normalized(sizes.hidden),
    "an unused parameter": lambda sizes: Unused(sizes.hidden),
    "written in place": lambda sizes: InPlace(sizes.hidden),
    "a custom function": lambda sizes: WithFunction(sizes.hidden),
}


def backward(module: nn.Module, values: Tensor, seed: int = 1, *, split: bool) -> Gradients:
    """Gradients of the input, where it has one, and of all parameters."""
    module.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    source = values.clone().requires_grad_(values.is_floating_point())
    output = module(source)
    gradient = torch.randn(output.shape, dtype=output.dtype)
    inputs = [source] if source.requires_grad else []
    if split:
        found, weights = input_gradients([output], [gradient], inputs)
        del output
        weights()
    else:
        output.backward(gradient)
        found = tuple(one.grad for one in inputs)
    return (*found, *(one.grad for one in module.parameters()))


def both_ways(module: nn.Module, values: Tensor, seed: int = 1) -> tuple[Gradients, Gradients]:
    """Autograd's gradients, and those of I and W."""
    return backward(module, values, seed, split=False), backward(module, values, seed, split=True)


def differ(one: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> bool:
    return any(
        (a is None) != (b is None) or (a is not None and b is not None and not torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )
