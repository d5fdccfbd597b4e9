"""I and W as two calls leave, bit for bit, what autograd's one backward leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import Layer, ModelConfig, Stage
from dualpipe_ref.model.attention import LatentAttention, Norm, PlainAttention
from dualpipe_ref.runtime.split_backward import input_gradients

CONFIG = ModelConfig(
    vocabulary=11,
    hidden=12,
    layers=2,
    heads=2,
    head_dim=4,
    rotary_dim=2,
    key_value_latent=5,
    experts=4,
    expert_hidden=7,
)


class Shared(nn.Module):
    """One weight used twice, at different depths: no W could tell its paths apart."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(12, 12)
        self.last = nn.Linear(12, 12)

    def forward(self, values: Tensor) -> Tensor:
        return self.last(torch.tanh(self.inner(torch.tanh(self.inner(values)))))


class Unused(nn.Module):
    """A parameter that does nothing, and a branch that leads to no input."""

    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.ones(12))
        self.gain = nn.Parameter(torch.ones(12))

    def forward(self, values: Tensor) -> Tensor:
        return values * 2 + torch.exp(self.bias) * self.gain


def buffer() -> Buffer:
    return Buffer(Topology(1, 1), CONFIG.experts, Alone())


MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(12, 12),
    "norm": lambda: Norm(12, 1e-6),
    "latent attention": lambda: LatentAttention(CONFIG, "a", 0),
    "plain attention": lambda: PlainAttention(CONFIG, "a", 0),
    "layer with experts": lambda: Layer(CONFIG, 0, 0, buffer()),
    "torch's block": lambda: nn.TransformerEncoderLayer(12, 2, 24, 0.0, batch_first=True),
    "a shared weight": Shared,
    "an unused parameter": Unused,
}


def both_ways(
    module: nn.Module, values: Tensor
) -> tuple[tuple[Tensor | None, ...], tuple[Tensor | None, ...]]:
    """Gradients of the input and of all parameters: autograd's, and those of I and W."""
    left = []
    for split in (False, True):
        module.zero_grad(set_to_none=True)
        torch.manual_seed(1)
        source = values.clone().requires_grad_(values.is_floating_point())
        output = module(source)
        gradient = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
        inputs = [source] if source.requires_grad else []
        if split:
            found, weights = input_gradients([output], [gradient], inputs)
            weights()
        else:
            output.backward(gradient)
            found = tuple(one.grad for one in inputs)
        left.append((*found, *(one.grad for one in module.parameters())))
    return left[0], left[1]


def differ(one: tuple[Tensor | None, ...], other: tuple[Tensor | None, ...]) -> bool:
    return any(
        (a is None) != (b is None) or (a is not None and b is not None and not torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODULES)
def test_i_and_w_are_autograds_backward(name: str, dtype: torch.dtype) -> None:
    module = MODULES[name]().to(dtype)
    values = torch.randn(2, 5, 12, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert not differ(*both_ways(module, values))


def test_an_embedding_has_a_w_without_an_i() -> None:
    stage = Stage(CONFIG, 0, 2, buffer())
    assert not differ(*both_ways(stage, torch.arange(10).view(2, 5)))


def test_nothing_is_added_to_a_parameter_before_its_w() -> None:
    module = nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12))
    source = torch.ones(3, 12, requires_grad=True)
    output = module(source)
    _, weights = input_gradients([output], [torch.ones_like(output)], [source])
    assert all(one.grad is None for one in module.parameters())
    weights()
    first = [one.grad.clone() for one in module.parameters() if one.grad is not None]
    assert len(first) == 4
    output = module(source)  # a second micro-batch is added to the first
    input_gradients([output], [torch.ones_like(output)], [source])[1]()
    for one, before in zip(module.parameters(), first, strict=True):
        assert torch.equal(one.grad, before + before)


def test_a_w_that_is_left_out_is_seen() -> None:
    module, values = nn.Linear(12, 12), torch.ones(3, 12)
    wanted, _ = both_ways(module, values)
    module.zero_grad(set_to_none=True)
    source = values.clone().requires_grad_()
    output = module(source)
    gradient = torch.linspace(-1, 1, output.numel()).view_as(output)
    found, _ = input_gradients([output], [gradient], [source])
    assert differ(wanted, (*found, *(one.grad for one in module.parameters())))
