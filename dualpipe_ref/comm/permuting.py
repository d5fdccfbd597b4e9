"""The host's side of the permutation kernels: all ranks of a transport at once, with the results of `permute.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.kernels import permute as kernels
from dualpipe_ref.comm.kernels.elements import ELEMENTS
from dualpipe_ref.comm.kernels.host import check_memory, launch
from dualpipe_ref.comm.kernels.message import VECTOR
from dualpipe_ref.comm.permute import ExpertOrder
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.schedule.errors import InputError

WARPS = 16


def permute_all(
    transport: Transport, values: Sequence[Tensor], orders: Sequence[ExpertOrder], blocks: int = 1
) -> list[Tensor]:
    """`permute.permute` of each rank's values [M, H] float32 or bfloat16, by `blocks` blocks a rank: [P, H].

    Its backward is `unpermute_all` of the gradients without weights.
    """
    _check(transport, tokens=values)
    ordered = [
        one.new_empty(len(order.rows), one.shape[1])
        for one, order in zip(values, orders, strict=True)
    ]
    table = [
        (one, row, order.rows.contiguous(), None, None, len(one), len(row))
        for one, row, order in zip(values, ordered, orders, strict=True)
    ]
    _launch(transport, kernels.permute, table, values[0], blocks)
    return ordered


def unpermute_all(
    transport: Transport,
    outputs: Sequence[Tensor],
    orders: Sequence[ExpertOrder],
    rows: Sequence[int],
    weights: Sequence[Tensor] | None = None,
    blocks: int = 1,
) -> list[Tensor]:
    """`permute.unpermute` of each rank's outputs [P, H] to [M, H], M = `rows`.

    With `weights` [P] float32, as `permute_weights` gives them, each output is multiplied in float32 before it is added.
    Without, its backward is `permute_all` of the gradients.
    """
    _check(transport, outputs=outputs)
    if weights is not None:
        for one, order in zip(weights, orders, strict=True):
            if one.shape != order.rows.shape or one.dtype != torch.float32:
                raise InputError(
                    "weights are [P] float32",
                    f"{tuple(one.shape)} {one.dtype}",
                    f"{tuple(order.rows.shape)} torch.float32",
                )
            check_memory(transport.device, weights=one)
    places = [places_of(order, count) for order, count in zip(orders, rows, strict=True)]
    width = max(one.shape[1] for one in places)
    places = [torch.nn.functional.pad(one, (width - one.shape[1], 0), value=-1) for one in places]
    received = [
        one.new_empty(count, one.shape[1]) for one, count in zip(outputs, rows, strict=True)
    ]
    table = [
        (got, one, None, place, along, len(got), len(one))
        for got, one, place, along in zip(
            received, outputs, places, weights or [None] * len(outputs), strict=True
        )
    ]
    _launch(
        transport,
        kernels.unpermute,
        table,
        outputs[0],
        blocks,
        experts_per_token=width,
        has_weights=int(weights is not None),
    )
    return received


def places_of(order: ExpertOrder, rows: int) -> Tensor:
    """[M, K'] int64: the ordered rows of each received one in the order of the experts, behind -1 for those it lacks.

    >>> from dualpipe_ref.comm.permute import expert_order
    >>> places_of(expert_order(torch.tensor([[1, -1], [1, 0]]), held=2), rows=2).tolist()
    [[-1, 1], [0, 2]]
    """
    width = int(order.slots.max()) + 1 if len(order.slots) else 1
    places = order.rows.new_full((rows, max(1, width)), -1)
    here = (order.rows >= 0).nonzero().flatten()
    places[order.rows[here], order.slots[here]] = here
    return places.sort(dim=1).values


def _launch(
    transport: Transport,
    kernel: Callable[..., Any],
    table: Sequence[tuple[Any, ...]],
    like: Tensor,
    blocks: int,
    experts_per_token: int = 0,
    has_weights: int = 0,
) -> None:
    launch(
        transport,
        kernel,
        kernels.PermutePlan,
        blocks=blocks,
        threads=WARPS * transport.lanes,
        seconds=1.0,  # nobody waits
        roles=(),
        rows=table,
        element=ELEMENTS[like.dtype],
        row_bytes=like.shape[1] * like.element_size(),
        experts_per_token=experts_per_token,
        has_weights=has_weights,
    )


def _check(transport: Transport, **named: Sequence[Tensor]) -> None:
    ((name, values),) = named.items()
    for one in values:
        if one.dtype not in ELEMENTS or one.dtype != values[0].dtype:
            raise InputError(
                "kernels move and add float32 or bfloat16, one of them on all ranks",
                f"{one.dtype}",
                "torch.bfloat16",
            )
        row = one.shape[1] * one.element_size()
        if row % VECTOR:
            raise InputError(
                f"a row is a multiple of {VECTOR} bytes",
                f"{row} bytes",
                f"{row + -row % VECTOR} bytes",
            )
        check_memory(transport.device, **{name: one})
