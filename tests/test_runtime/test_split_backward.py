"""I and W as two calls leave, bit for bit, what autograd's one backward leaves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dualpipe_ref.model import Stage
from dualpipe_ref.runtime.split_backward import input_gradients, splittable
from dualpipe_ref.runtime.split_graph import SplitGraph
from dualpipe_ref.schedule import InputError
from tests.test_runtime.split_modules import (
    MODULES,
    Scaled,
    Shared,
    Sizes,
    WithFunction,
    backward,
    both_ways,
    differ,
)

SIZES = st.builds(
    Sizes,
    batch=st.integers(1, 3),
    tokens=st.integers(2, 6),
    hidden=st.sampled_from([4, 6, 12]),
    experts=st.integers(1, 5),
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=6, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_i_and_w_are_autograds_backward(
    name: str, dtype: torch.dtype, sizes: Sizes, seed: int
) -> None:
    torch.manual_seed(seed)
    module = MODULES[name](sizes).to(dtype)
    values = torch.randn(sizes.batch, sizes.tokens, sizes.hidden, dtype=dtype)
    assert not differ(*both_ways(module, values, seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=6, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_an_embedding_has_a_w_without_an_i(dtype: torch.dtype, sizes: Sizes, seed: int) -> None:
    stage = Stage(sizes.config(), 0, 2, sizes.buffer()).to(dtype)
    tokens = torch.randint(11, (sizes.batch, sizes.tokens))
    assert not differ(*both_ways(stage, tokens, seed))


def test_the_last_stage_splits_the_backward_of_its_loss() -> None:
    sizes = Sizes()
    stage = Stage(sizes.config(), 1, 2, sizes.buffer())
    targets = torch.arange(10).view(2, 5)

    class Judged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stage = stage

        def forward(self, values: Tensor) -> Tensor:
            return self.stage(values, targets)

    assert not differ(*both_ways(Judged(), torch.randn(2, 5, 12)))


@settings(max_examples=20, deadline=None)
@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    uses=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_weights_that_are_used_anyhow_are_counted_once_a_use(
    widths: list[int], uses: list[int], seed: int
) -> None:
    """A chain over a few weights, each used as often as drawn, some beside a residual path."""
    torch.manual_seed(seed)

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterList(torch.randn(4, 4) for _ in widths)

        def forward(self, values: Tensor) -> Tensor:
            for place, use in enumerate(uses):
                made = torch.tanh(values @ self.weights[use % len(widths)])
                values = values + made if widths[place % len(widths)] % 2 else made
            return values

    assert not differ(*both_ways(Chain(), torch.randn(3, 4), seed))


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


def test_gradients_are_added_where_they_lie() -> None:
    """A gradient may be a view of something larger, also that of a weight which I does at once."""
    module = Shared(3)
    flat = torch.zeros(sum(one.numel() for one in module.parameters()))
    parts = flat.split([one.numel() for one in module.parameters()])
    source = torch.ones(2, 3, requires_grad=True)
    wanted = backward(module, source.detach(), split=False)[1:]
    for one, part in zip(module.parameters(), parts, strict=True):
        one.grad = part.view_as(one)
    torch.manual_seed(1)
    output = module(source)
    input_gradients([output], [torch.randn(output.shape)], [source])[1]()
    assert torch.equal(flat, torch.cat([one.flatten() for one in wanted if one is not None]))


def test_a_shared_weight_waits_for_nothing_and_the_others_do() -> None:
    module = Shared(3)
    source = torch.ones(2, 3, requires_grad=True)
    output = module(source)
    graph = SplitGraph([output], [source])
    assert {id(one) for one in graph.shared} == {id(one) for one in module.inner.parameters()}
    input_gradients([output], [torch.ones_like(output)], [source])
    assert module.inner.weight.grad is not None
    assert module.last.weight.grad is None


def test_starts_of_one_level_do_not_lead_to_each_other() -> None:
    sizes = Sizes()
    source = torch.randn(2, 5, 12, requires_grad=True)
    graph = SplitGraph([MODULES["two layers"](sizes)(source)], [source])
    levels = [one.level for one in graph.starts]
    assert len(set(levels)) < len(levels) / 2  # which is what levels are for
    for start in graph.starts:
        below, queue = set(), [start.node]
        for node in queue:
            fresh = {one for one, _ in node.next_functions if one is not None} - below
            below |= fresh
            queue += fresh
        assert not [one for one in graph.starts if one.level == start.level and one.node in below]


def test_a_w_that_is_left_out_is_seen() -> None:
    module, values = nn.Linear(12, 12), torch.ones(3, 12)
    wanted = backward(module, values, split=False)
    module.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    source = values.clone().requires_grad_()
    output = module(source)
    found, _ = input_gradients([output], [torch.randn(output.shape)], [source])
    assert differ(wanted, (*found, *(one.grad for one in module.parameters())))


def test_a_marked_function_is_asked_for_one_half_at_a_time() -> None:
    Scaled.halves.clear()
    module = WithFunction(4)
    source = torch.randn(2, 4, requires_grad=True)
    output = module(source)
    _, weights = input_gradients([output], [torch.ones_like(output)], [source])
    assert Scaled.halves == [(True, False)]
    weights()
    assert Scaled.halves == [(True, False), (False, True)]


def test_a_marked_function_that_does_not_heed_what_is_asked_is_seen() -> None:
    @splittable
    class Careless(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values: Tensor, gain: Tensor) -> Tensor:
            ctx.save_for_backward(values, gain)
            return values * gain

        @staticmethod
        def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
            values, gain = ctx.saved_tensors
            return gradient * gain, gradient * values

    gain = torch.ones(3, requires_grad=True)
    source = torch.ones(3, requires_grad=True)
    output = Careless.apply(source, gain)
    with pytest.raises(RuntimeError, match=r"Careless.* computes the gradient of its tensor 1"):
        input_gradients([output], [torch.ones(3)], [source])


def test_an_unmarked_function_with_parameters_is_refused_and_one_without_is_not() -> None:
    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values: Tensor, gain: Tensor) -> Tensor:
            ctx.save_for_backward(values, gain)
            return values * gain

        @staticmethod
        def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
            values, gain = ctx.saved_tensors
            return gradient * gain, gradient * values

    source, gain = (torch.full((3,), 2.0, requires_grad=True) for _ in range(2))
    with pytest.raises(InputError, match=r"custom autograd\.Function.*Plain.*needs_input_grad"):
        input_gradients([Plain.apply(source, gain)], [torch.ones(3)], [source])
    layer = nn.Linear(3, 3)
    output = layer(Plain.apply(source, torch.sin(source)))
    input_gradients([output], [torch.ones(3)], [source])[1]()
    assert layer.weight.grad is not None


def test_hooks_change_a_gradient_once_and_are_called_as_the_text_says() -> None:
    """On a parameter in W; on the output of a node that W starts at in both halves."""
    calls: list[str] = []

    def hook(name: str, factor: float):
        def scale(gradient: Tensor) -> Tensor:
            calls.append(name)
            return gradient * factor

        return scale

    class Hooked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.first.weight.register_hook(hook("parameter", 3.0))
            self.first.bias.register_post_accumulate_grad_hook(lambda _: calls.append("after"))

        def forward(self, values: Tensor) -> Tensor:
            made = self.first(values)
            made.register_hook(hook("start", 2.0))
            between = torch.tanh(made)
            between.register_hook(hook("between", 0.5))
            return self.second(between)

    module = Hooked()
    wanted = backward(module, torch.ones(2, 3), split=False)
    assert sorted(calls) == ["after", "between", "parameter", "start"]
    calls.clear()
    assert not differ(wanted, backward(module, torch.ones(2, 3), split=True))
    assert sorted(calls) == ["after", "between", "parameter", "start", "start"]


def test_full_backward_hooks_of_modules_see_what_they_see_in_one_backward() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    seen: list[Tensor] = []
    module[2].register_full_backward_hook(lambda _, inputs, outputs: seen.extend(inputs + outputs))
    module[0].register_full_backward_pre_hook(lambda _, outputs: (outputs[0] * 2,))
    wanted = backward(module, torch.ones(2, 3), split=False)
    first = list(seen)
    seen.clear()
    assert not differ(wanted, backward(module, torch.ones(2, 3), split=True))
    assert not differ(first, seen)
