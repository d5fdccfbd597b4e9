"""What a user of torch would write for dispatch and combine, to be measured beside the kernels, and whether it does the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.hopper.measuring import Exchanged


def torch_dispatch(made: Exchanged) -> list[Tensor]:
    """Each rank's rows, by one index_select from all tokens."""
    everything = torch.cat(made.tokens)
    return [everything.index_select(0, one) for one in made.sources]


def torch_combine(made: Exchanged) -> Tensor:
    """[all tokens, H] float32: every row added to its token."""
    total = made.tokens[0].new_zeros(
        sum(map(len, made.tokens)), made.tokens[0].shape[1], dtype=torch.float32
    )
    for rows, source in zip(made.received, made.sources, strict=True):
        total.index_add_(0, source, rows.float())
    return total


def check_torch_ways(made: Exchanged) -> None:
    """Raises `RuntimeError` unless torch's ways give what the kernels gave; sums as near as rounding to bfloat16 allows.

    Each node's sum is rounded, and their sum again, each by at most 2**-9 of the sum of what went in, without signs.
    """
    for ours, wanted in zip(made.received, torch_dispatch(made), strict=True):
        if not torch.equal(ours, wanted):
            raise RuntimeError("index_select gives other rows than dispatch")
    plain = [one.abs() for one in made.received]
    room = torch_combine(replace(made, received=plain)) * 2**-8 * (1 + 2**-8)
    off = (torch.cat(made.sums).float() - torch_combine(made)).abs()
    if not bool((off <= room).all()):
        raise RuntimeError("index_add gives other sums than combine")


def done(_: Any) -> None:
    """What torch made is not kept."""
