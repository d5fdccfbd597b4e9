"""Tokens in FP8 with a scale for each 128 numbers, as DeepSeek-V3 sends them to experts (arXiv:2412.19437, section 3.3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from dualpipe_ref.schedule.errors import InputError

BLOCK = 128
FLOAT8 = torch.float8_e4m3fn
LARGEST = 448.0  # of FLOAT8


def to_float8(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """[T, H] in floating point to [T, H] float8_e4m3fn and scales [T, S] float32, S = ceil(H / 128).

    The largest number of each block of 128 becomes 448, the largest that the type has; the last block is shorter where
    H is no multiple. A number comes back with an error of at most 1/16 of itself, or of 2^-10 of its block's scale where
    that is more. A block of zeros, or of numbers under 1e-36, has the smallest scale, 2^-126. A block with an infinity or
    a NaN comes back as NaN throughout: such a step is lost, and is to be seen, not hidden.

    >>> values, scales = to_float8(torch.tensor([[7.0, -3.5]]))
    >>> values.float(), scales
    (tensor([[ 448., -224.]]), tensor([[0.0156]]))
    """
    if tokens.dim() != 2 or not tokens.is_floating_point():
        raise InputError(
            "tokens are [T, H] in floating point", f"{tokens.dtype} {tuple(tokens.shape)}"
        )
    blocks = _blocks(tokens.float())
    scales = blocks.abs().amax(dim=2) / LARGEST
    scales = scales.clamp_min(torch.finfo(torch.float32).tiny)
    values = _whole(blocks / scales.unsqueeze(2), tokens.shape[1])
    return values.to(FLOAT8), torch.where(scales.isinf(), torch.nan, scales)


def from_float8(tokens: Tensor, scales: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """What `to_float8` was given, up to its error, in `dtype`.

    >>> from_float8(*to_float8(torch.tensor([[7.0, -3.5]])))
    tensor([[ 7.0000, -3.5000]], dtype=torch.bfloat16)
    """
    wanted = (len(tokens), -(-tokens.shape[1] // BLOCK))
    if tuple(scales.shape) != wanted:
        raise InputError(
            f"a token has one scale for {BLOCK} numbers", f"{tuple(scales.shape)}", f"{wanted}"
        )
    return _whole(_blocks(tokens.float()) * scales.unsqueeze(2), tokens.shape[1]).to(dtype)


def _blocks(tokens: Tensor) -> Tensor:
    """[T, H] to [T, S, 128], filled up with zeros."""
    blocks = -(-tokens.shape[1] // BLOCK)
    filled = torch.nn.functional.pad(tokens, (0, blocks * BLOCK - tokens.shape[1]))
    return filled.view(len(tokens), blocks, BLOCK)


def _whole(blocks: Tensor, hidden: int) -> Tensor:
    return blocks.flatten(1)[:, :hidden]
