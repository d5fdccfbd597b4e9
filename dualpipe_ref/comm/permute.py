"""Received rows in the order of this rank's experts, as grouped matrix products want them, and back.

A row that several experts here have is there for each of them; so this is also where its outputs are added up. Known as
permute and unpermute in Megatron, as `expert_alignment` in DeepEP.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.schedule.errors import InputError, require_int


class ExpertOrder(NamedTuple):
    """Made by `expert_order`. P rows: those of the first expert here, filled up to the alignment, then those of the next.

    `rows` [P] int64: which received row stands there, -1 in filling; `slots` [P] int64: which of the row's K experts this
    is, -1 in filling; `counts` and `filled`, one number an expert: its rows without and with filling.
    """

    rows: Tensor
    slots: Tensor
    counts: list[int]
    filled: list[int]


def expert_order(experts: Tensor, held: int, alignment: int = 1) -> ExpertOrder:
    """The order for `experts` [M, K] int64 of received rows, numbered from 0 to `held` - 1 on this rank, -1 elsewhere.

    Rows of an expert keep the order in which they were received. Every expert has a multiple of `alignment` rows (none, if
    no token chose it). Raises `InputError` for experts that are not held here.

    >>> order = expert_order(torch.tensor([[1, -1], [0, 1], [-1, 1]]), held=3, alignment=2)
    >>> order.rows.tolist(), order.slots.tolist(), order.counts, order.filled
    ([1, -1, 0, 1, 2, -1], [0, -1, 0, 1, 1, -1], [1, 3, 0], [2, 4, 0])
    """
    require_int("alignment", alignment, 1)
    flat = experts.flatten()
    if bool((flat >= held).any()):
        raise InputError(
            f"experts here are numbered from 0 to {held - 1}", f"{int(flat.max())}", f"{held - 1}"
        )
    places = (flat >= 0).nonzero().flatten()
    numbers, order = flat[places].sort(stable=True)
    places = places[order]
    rows, slots = places // experts.shape[1], places % experts.shape[1]
    counts = torch.bincount(numbers, minlength=held)
    filled = -(-counts // alignment) * alignment
    if alignment > 1:
        shift = (filled.cumsum(0) - filled) - (counts.cumsum(0) - counts)
        targets = torch.arange(len(rows), device=rows.device) + shift[numbers]
        with_filling = rows.new_full((2, int(filled.sum())), -1)
        with_filling[:, targets] = torch.stack((rows, slots))
        rows, slots = with_filling
    return ExpertOrder(rows, slots, counts.tolist(), filled.tolist())


def permute(values: Tensor, order: ExpertOrder) -> Tensor:
    """[M, ...] to [P, ...], zeros in filling. Backward, a row's gradient is the sum over its copies.

    >>> order = expert_order(torch.tensor([[1, -1], [0, 1]]), held=2, alignment=2)
    >>> permute(torch.tensor([[5.0], [6.0]]), order).flatten().tolist()
    [6.0, 0.0, 5.0, 6.0]
    """
    if order.counts != order.filled:  # -1 is then the last row
        values = torch.cat((values, values.new_zeros(1, *values.shape[1:])))
    return values[order.rows]


def permute_weights(weights: Tensor, order: ExpertOrder) -> Tensor:
    """The weight of each row for its expert, [M, K] to [P], 0 in filling."""
    if order.counts != order.filled:
        weights = torch.nn.functional.pad(weights, (0, 1, 0, 1))
    return weights[order.rows, order.slots]


def unpermute(outputs: Tensor, order: ExpertOrder, rows: int) -> Tensor:
    """[P, ...] to [M, ...], M = `rows`: the sum of each row's outputs, one expert after another.

    In float32 (float64 for float64), then rounded to the type of the outputs; filling does not count.

    >>> order = expert_order(torch.tensor([[1, -1], [0, 1]]), held=2, alignment=2)
    >>> unpermute(torch.tensor([[1.0], [9.0], [2.0], [3.0]]), order, rows=2).flatten().tolist()
    [2.0, 4.0]
    """
    wide = torch.promote_types(outputs.dtype, torch.float32)
    total = outputs.new_zeros((rows, *outputs.shape[1:]), dtype=wide)
    parts = zip(
        order.rows.split(order.filled), outputs.split(order.filled), order.counts, strict=True
    )
    for targets, values, count in parts:
        # An expert has a row once, so that no row is added to twice here: the same bits on every device.
        total = total.index_add(0, targets[:count], values[:count].to(wide))
    return total.to(outputs.dtype)
