"""The permutation kernels in the emulator: the bits of `comm/permute.py`, for any routing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm.permute import ExpertOrder, expert_order, permute, permute_weights, unpermute
from dualpipe_ref.comm.permuting import permute_all, unpermute_all
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.schedule.errors import InputError


class Case:
    """Rows of two ranks, with their experts and weights."""

    def __init__(
        self,
        seed: int,
        rows: list[int],
        held: int,
        choices: int,
        alignment: int,
        dtype: torch.dtype,
    ) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.experts = [_experts(count, held, choices, draw) for count in rows]
        self.orders = [expert_order(one, held, alignment) for one in self.experts]
        self.values = [torch.randn(count, 16, generator=draw).to(dtype) for count in rows]
        self.outputs = [
            torch.randn(len(order.rows), 16, generator=draw).to(dtype) for order in self.orders
        ]
        weights = [torch.rand(one.shape, generator=draw) for one in self.experts]
        self.weights = [
            permute_weights(one, order) for one, order in zip(weights, self.orders, strict=True)
        ]


def _experts(rows: int, held: int, choices: int, draw: torch.Generator) -> Tensor:
    """[M, K]: a row has an expert at most once, and some of its choices elsewhere."""
    scores = torch.rand(rows, held + choices, generator=draw)
    chosen = scores.topk(choices, dim=1).indices
    return torch.where(chosen < held, chosen, -1)


cases = st.builds(
    Case,
    seed=st.integers(0, 2**31),
    rows=st.lists(st.integers(0, 9), min_size=2, max_size=2),
    held=st.integers(1, 4),
    choices=st.integers(1, 4),
    alignment=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)


def emulated() -> Any:
    return Emulated(Topology(1, 2))


@settings(max_examples=20)
@given(cases)
def test_rows_come_to_the_order_of_their_experts(case: Case) -> None:
    got = permute_all(emulated(), case.values, case.orders)
    for one, values, order in zip(got, case.values, case.orders, strict=True):
        assert torch.equal(one, permute(values, order))


@settings(max_examples=20)
@given(cases)
def test_sums_have_the_same_bits(case: Case) -> None:
    rows = [len(one) for one in case.values]
    plain = unpermute_all(emulated(), case.outputs, case.orders, rows)
    weighted = unpermute_all(emulated(), case.outputs, case.orders, rows, case.weights, blocks=2)
    for place, (outputs, order) in enumerate(zip(case.outputs, case.orders, strict=True)):
        assert torch.equal(plain[place], unpermute(outputs, order, rows[place]))
        products = outputs.float() * case.weights[place].unsqueeze(1)
        wanted = unpermute(products, order, rows[place]).to(outputs.dtype)
        assert torch.equal(weighted[place], wanted)


@pytest.mark.parametrize("seed", range(3))
def test_each_is_the_backward_of_the_other(seed: int) -> None:
    case = Case(seed, [7, 3], held=3, choices=2, alignment=2, dtype=torch.float32)
    gradients = case.outputs
    values = [one.clone().requires_grad_() for one in case.values]
    for one, order, gradient in zip(values, case.orders, gradients, strict=True):
        permute(one, order).backward(gradient)
    rows = [len(one) for one in values]
    back = unpermute_all(emulated(), _zero_filling(gradients, case.orders), case.orders, rows)
    for one, got in zip(values, back, strict=True):
        torch.testing.assert_close(got, one.grad)


def _zero_filling(rows: list[Tensor], orders: list[ExpertOrder]) -> list[Tensor]:
    return [one * (order.rows >= 0).unsqueeze(1) for one, order in zip(rows, orders, strict=True)]


def test_what_does_not_fit_is_named() -> None:
    case = Case(0, [2, 2], held=2, choices=2, alignment=1, dtype=torch.float32)
    with pytest.raises(InputError, match="a row is a multiple of 16 bytes; got 12 bytes"):
        permute_all(emulated(), [one[:, :3].contiguous() for one in case.values], case.orders)
    with pytest.raises(InputError, match="kernels move and add float32 or bfloat16"):
        permute_all(emulated(), [one.double() for one in case.values], case.orders)
    wrong = [one.double() for one in case.weights]
    with pytest.raises(InputError, match=r"weights are \[P\] float32"):
        unpermute_all(emulated(), case.outputs, case.orders, [2, 2], wrong)
