"""AdamW whose moments take two bytes a number (DeepSeek-V3 report, arXiv:2412.19437, section 3.3.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

MOMENTS = ("exp_avg", "exp_avg_sq")


class NarrowAdamW(torch.optim.AdamW):
    """torch's AdamW, with moments kept in `moments` and widened for the update, one parameter after another.

    The update itself is torch's, in the type of the parameter; with that type as `moments` it is AdamW's, bit for bit.

    >>> layer = torch.nn.Linear(2, 2, bias=False)
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> optimizer = NarrowAdamW(layer.parameters(), moments=torch.bfloat16)
    >>> optimizer.step()
    >>> optimizer.state[layer.weight]["exp_avg"].dtype
    torch.bfloat16
    """

    def __init__(self, params: Any, *, moments: torch.dtype, **options: Any) -> None:
        super().__init__(params, **options)
        self.moments = moments

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Update all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(new_state(parameter, self.moments))
        wide = [state[name].to(parameter.dtype) for name in MOMENTS]
        adamw(
            [parameter],
            [parameter.grad],
            *([one] for one in wide),
            [],
            [state["step"]],
            foreach=False,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        for name, value in zip(MOMENTS, wide, strict=True):
            state[name].copy_(value)


def new_state(parameter: Tensor, moments: torch.dtype | None = None) -> dict[str, Tensor]:
    """What AdamW keeps of a parameter before its first step; moments have the parameter's type where none is named."""
    zeros = {name: torch.zeros_like(parameter, dtype=moments) for name in MOMENTS}
    return {"step": torch.zeros((), dtype=torch.float32), **zeros}
