"""Dispatch and combine for autograd: each is the other's backward (DeepEP's README, "Example use in model training")."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dualpipe_ref.comm.handle import End, Handle, Sums
from dualpipe_ref.comm.reference import Received


class Dispatched(Function):
    """The received tokens and weights. Backward, gradients are combined: the sum over a token's copies.

    Both in one, so that all ranks send the gradients in one order, whether or not they use both. Tokens that came in
    FP8 have no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, weights: Tensor, came: Received, end: End, handle: Handle
    ) -> tuple[Tensor, Tensor]:
        ctx.end, ctx.handle = end, handle
        ctx.is_float8 = came.tokens.element_size() == 1
        if ctx.is_float8:
            ctx.mark_non_differentiable(came.tokens)
        return came.tokens, came.weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tokens: Tensor, weights: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.is_float8:
            tokens = torch.zeros(tokens.shape, dtype=torch.bfloat16, device=tokens.device)
        sums = ctx.end.start_combine(tokens, weights, ctx.handle, None)()
        return None if ctx.is_float8 else sums[0], sums[1], None, None, None


class Combined(Function):
    """The sums. Backward, gradients are dispatched: each copy gets its token's."""

    @staticmethod
    def forward(
        ctx: Any,
        outputs: Tensor,
        weights: Tensor | None,
        sums: Sums,
        end: End,
        handle: Handle,
    ) -> Sums:
        ctx.end, ctx.handle = end, handle
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, weights: Tensor | None) -> tuple[Tensor | None, ...]:
        copies = ctx.end.start_copies(gradient, weights, ctx.handle)()
        return *copies, None, None, None
