"""The permutation kernels on one GPU, against `comm/permute.py` on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.permute import ExpertOrder, permute, unpermute
from dualpipe_ref.comm.permuting import permute_all, unpermute_all
from tests.gpu.conftest import IS_EMULATED
from tests.test_kernels.test_permute import Case

ROWS = [5, 3] if IS_EMULATED else [4000, 513]


def there(order: ExpertOrder, device: torch.device) -> ExpertOrder:
    return order._replace(rows=order.rows.to(device), slots=order.slots.to(device))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("alignment", [1, 128])
def test_permutation_kernels_have_the_same_bits(
    dtype: torch.dtype, alignment: int, transport_of: Callable[..., Any]
) -> None:
    transport = transport_of(1, 2)
    device = transport.device
    case = Case(1, ROWS, held=4, choices=4, alignment=alignment, dtype=dtype)
    orders = [there(order, device) for order in case.orders]
    ordered = permute_all(transport, [one.to(device) for one in case.values], orders, blocks=2)
    outputs, weights = ([one.to(device) for one in part] for part in (case.outputs, case.weights))
    plain = unpermute_all(transport, outputs, orders, ROWS, blocks=2)
    weighted = unpermute_all(transport, outputs, orders, ROWS, weights, blocks=2)
    for place, order in enumerate(case.orders):
        assert torch.equal(ordered[place].cpu(), permute(case.values[place], order))
        output, count = case.outputs[place], ROWS[place]
        assert torch.equal(plain[place].cpu(), unpermute(output, order, count))
        products = output.float() * case.weights[place].unsqueeze(1)
        assert torch.equal(weighted[place].cpu(), unpermute(products, order, count).to(dtype))
