"""Rows in the order of the experts: every row where it belongs, filled up, and back; gradients are the way back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm.permute import (
    ExpertOrder,
    expert_order,
    permute,
    permute_weights,
    unpermute,
)


@st.composite
def chosen(draw: st.DrawFn) -> tuple[Tensor, int, int]:
    """Experts [M, K] of received rows, how many are held, and an alignment."""
    held, rows = draw(st.integers(1, 5)), draw(st.integers(0, 6))
    k = draw(st.integers(1, held))
    table = [
        [expert if draw(st.booleans()) else -1 for expert in draw(st.permutations(range(held)))[:k]]
        for _ in range(rows)
    ]
    experts = torch.tensor(table, dtype=torch.int64).reshape(rows, k)
    return experts, held, draw(st.sampled_from([1, 2, 3, 8]))


@settings(max_examples=200, deadline=None)
@given(chosen())
def test_every_row_stands_with_each_of_its_experts_in_the_order_received(
    case: tuple[Tensor, int, int],
) -> None:
    experts, held, alignment = case
    order = expert_order(experts, held, alignment)
    weights = torch.rand(experts.shape)
    weight_of = permute_weights(weights, order).tolist()
    begins = 0
    for expert, (count, filled) in enumerate(zip(order.counts, order.filled, strict=True)):
        wanted = [
            (row, slot)
            for row, slots in enumerate(experts.tolist())
            for slot, one in enumerate(slots)
            if one == expert
        ]
        here = slice(begins, begins + filled)
        pairs = list(zip(order.rows[here].tolist(), order.slots[here].tolist(), strict=True))
        assert pairs == wanted + [(-1, -1)] * (filled - count)
        assert weight_of[here] == [float(weights[pair]) for pair in wanted] + [0] * (filled - count)
        assert filled % alignment == 0
        assert filled - count < alignment
        begins += filled
    assert begins == len(order.rows)


@settings(max_examples=200, deadline=None)
@given(chosen(), st.sampled_from([torch.float32, torch.bfloat16]))
def test_back_is_the_sum_in_the_order_of_experts(
    case: tuple[Tensor, int, int], dtype: torch.dtype
) -> None:
    experts, held, alignment = case
    order = expert_order(experts, held, alignment)
    outputs = torch.randn(len(order.rows), 3).to(dtype)
    wanted = torch.zeros(len(experts), 3)
    for place, row in enumerate(order.rows.tolist()):
        if row >= 0:
            wanted[row] += outputs[place].float()
    assert torch.equal(unpermute(outputs, order, len(experts)), wanted.to(dtype))


@settings(max_examples=60, deadline=None)
@given(chosen())
def test_each_is_the_backward_of_the_other(case: tuple[Tensor, int, int]) -> None:
    experts, held, alignment = case
    order = expert_order(experts, held, alignment)
    values = torch.randn(len(experts), 2, dtype=torch.float64, requires_grad=True)
    there = permute(values, order)
    gradient = torch.randn_like(there)
    there.backward(gradient)
    assert values.grad is not None
    assert torch.allclose(values.grad, unpermute(gradient, order, len(experts)))

    outputs = torch.randn(len(order.rows), 2, dtype=torch.float64, requires_grad=True)
    back = unpermute(outputs, order, len(experts))
    gradient = torch.randn_like(back)
    back.backward(gradient)
    assert outputs.grad is not None
    assert torch.equal(outputs.grad, permute(gradient, order))


def test_gradients_are_slopes() -> None:
    experts = torch.tensor([[1, 0], [-1, 1], [2, 1]])
    order = expert_order(experts, 3, 2)
    values = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)

    def through(values: Tensor, weights: Tensor) -> Tensor:
        made = permute(values, order) ** 2 * permute_weights(weights, order).unsqueeze(1)
        return unpermute(made, order, 3)

    assert torch.autograd.gradcheck(through, (values, weights))


def test_tokens_in_float8_are_permuted_too() -> None:
    tokens = torch.arange(12).view(3, 4).to(torch.float8_e4m3fn)
    order = expert_order(torch.tensor([[1], [0], [1]]), 2, 2)
    assert permute(tokens, order).float()[:, 0].tolist() == [4, 0, 0, 8]


def test_filling_that_counts_is_seen() -> None:
    """The planted fault: numbers in filling rows reach no sum, and would be seen if they did."""
    order = expert_order(torch.tensor([[0], [0], [0]]), 1, 4)
    outputs = torch.ones(4, 1)
    outputs[3] = torch.nan
    assert unpermute(outputs, order, 3).flatten().tolist() == [1, 1, 1]
    wrong = ExpertOrder(order.rows, order.slots, order.filled, order.filled)
    with pytest.raises((RuntimeError, IndexError)):
        unpermute(outputs, wrong, 3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="got 2; nearest legal: 1"):
        expert_order(torch.tensor([[2]]), 2)
    with pytest.raises(InputError, match="alignment"):
        expert_order(torch.tensor([[0]]), 1, 0)
