"""Checkpoints under a split backward: the same gradients, and how often each computes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.pipelining._backward import stage_backward_input, stage_backward_weight
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from dualpipe_ref.model.parts import StageParts
from dualpipe_ref.model.recompute import Remade
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.split_backward import input_gradients
from tests.test_runtime.split_modules import MODULES, Sizes, backward, differ

Wrap = Callable[..., Any]


def checkpointed(function: Wrap, *inputs: Any) -> Any:
    return checkpoint(function, *inputs, use_reentrant=False)


class Wrapped(nn.Module):
    """Two modules, each in a checkpoint, with dropout between; counts the forwards of the first."""

    def __init__(self, first: nn.Module, second: nn.Module, wrap: Wrap | None) -> None:
        super().__init__()
        self.first, self.second, self.wrap = first, second, wrap
        self.dropout = nn.Dropout(0.5)
        self.forwards = 0

    def _first(self, values: Tensor) -> Tensor:
        self.forwards += 1
        return self.dropout(self.first(self.dropout(values)))

    def forward(self, values: Tensor) -> Tensor:
        if self.wrap is None:
            return self.second(torch.sin(self._first(values)))
        return self.wrap(self.second, torch.sin(self.wrap(self._first, values)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=8, deadline=None)
@given(
    name=st.sampled_from(
        [one for one in MODULES if one not in ("linear", "convolution", "torch's batch norm")]
    ),
    tokens=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_gradients_are_those_without_a_checkpoint(
    dtype: torch.dtype, name: str, tokens: int, seed: int
) -> None:
    torch.manual_seed(seed)
    sizes = Sizes(tokens=tokens)
    first, second = MODULES[name](sizes).to(dtype), MODULES["dense layer"](sizes).to(dtype)
    if name == "a tied table":
        second = nn.Linear(7, 7).to(dtype)
    values = torch.randn(2, tokens, sizes.hidden, dtype=dtype)
    wanted = backward(Wrapped(first, second, None), values, seed, split=False)
    module = Wrapped(first, second, checkpointed)
    assert not differ(wanted, backward(module, values, seed, split=False))
    assert not differ(wanted, backward(module, values, seed, split=True))


def forwards(wrap: Wrap) -> tuple[int, int, int]:
    """How often the first module is computed in the forward, in I and in W."""
    module = Wrapped(MODULES["dense layer"](Sizes()), nn.Linear(12, 12), wrap)
    source = torch.ones(2, 5, 12, requires_grad=True)
    output = module(source)
    counts = [module.forwards]
    _, weights = input_gradients([output], [torch.ones_like(output)], [source])
    counts.append(module.forwards - sum(counts))
    weights()
    counts.append(module.forwards - sum(counts))
    return counts[0], counts[1], counts[2]


def test_a_checkpoint_computes_again_once_in_each_half() -> None:
    assert forwards(checkpointed) == (1, 1, 1)
    with set_checkpoint_early_stop(False):
        assert forwards(checkpointed) == (1, 1, 1)


def test_what_the_runtime_remakes_is_computed_again_once() -> None:
    counted = [0]
    layer = nn.Linear(3, 3)

    def computation(values: Tensor) -> tuple[Tensor]:
        counted[0] += 1
        return (torch.tanh(layer(torch.tanh(layer(values)))),)

    chunk = ChunkRun(StageParts(None, (), Remade(computation)), torch.ones(2, 3), None)
    chunk.forward()
    chunk.judge_back(torch.ones(2, 3), split=True)
    assert counted[0] == 2
    chunk.weights()
    assert counted[0] == 2
    assert layer.weight.grad is not None


def test_torchs_own_halves_compute_again_for_each_group_of_parameters() -> None:
    module = Wrapped(MODULES["dense layer"](Sizes()), nn.Linear(12, 12), checkpointed)
    source = torch.ones(2, 5, 12, requires_grad=True)
    output = torch.sin(module(source))  # a linear's output is a view, which torch's I cannot detach
    before = module.forwards
    _, groups = stage_backward_input(
        [output], [torch.ones_like(output)], [source], module.parameters()
    )
    stage_backward_weight(module.parameters(), groups)
    assert module.forwards - before > 2
