"""The router and the experts of one rank: gated MLPs, of which each sees the tokens that chose it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dualpipe_ref.comm.permute import expert_order, permute, permute_weights, unpermute
from dualpipe_ref.comm.routing import Routing, route, updated_bias
from dualpipe_ref.model.attention import Projection
from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.initial import normal
from dualpipe_ref.model.recompute import is_second


class GatedMLP(nn.Module):
    """silu(x W_gate) * (x W_up), brought back by W_down."""

    def __init__(self, name: str, hidden: int, inner: int, seed: int) -> None:
        super().__init__()
        self.gate = Projection(f"{name}.gate", hidden, inner, seed)
        self.up = Projection(f"{name}.up", hidden, inner, seed)
        self.down = Projection(f"{name}.down", inner, hidden, seed)

    def forward(self, values: Tensor) -> Tensor:
        """[..., H] to [..., H]."""
        inner: Tensor = functional.silu(self.gate(values)) * self.up(values)
        out: Tensor = self.down(inner)
        return out


class Router(nn.Module):
    """Sigmoid scores of all E experts; `bias` [E] steers who is chosen, `load` [E] counts what was."""

    bias: Tensor
    load: Tensor

    def __init__(self, config: ModelConfig, name: str, seed: int) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(
            normal(f"{name}.weight", (config.experts, config.hidden), seed, config.hidden**-0.5)
        )
        self.register_buffer("bias", torch.zeros(config.experts))
        self.register_buffer("load", torch.zeros(config.experts, dtype=torch.int64))

    def forward(self, tokens: Tensor) -> Routing:
        """[T, H] to the routing of each token. While training, the load is counted."""
        config = self.config
        scores = torch.sigmoid(functional.linear(tokens, self.weight))
        routing = route(
            scores.clamp_min(torch.finfo(scores.dtype).tiny),
            config.experts_per_token,
            nodes=config.expert_nodes,
            node_limit=config.node_limit,
            bias=self.bias.to(scores.dtype),
            scale=config.routed_scale,
        )
        if self.training and not is_second():
            self.load += torch.bincount(routing.experts.flatten(), minlength=config.experts)
        return routing

    @torch.no_grad()
    def balance(self, load: Tensor, speed: float) -> None:
        """Move the bias after a step in which all ranks together had this load, and count anew."""
        self.bias.copy_(updated_bias(self.bias, load, speed))
        self.load.zero_()


class Experts(nn.Module):
    """The experts from `first` on that this rank holds."""

    def __init__(self, config: ModelConfig, name: str, seed: int, first: int, count: int) -> None:
        super().__init__()
        self.held = nn.ModuleList(
            GatedMLP(f"{name}.{number}", config.hidden, config.expert_hidden, seed)
            for number in range(first, first + count)
        )

    def forward(self, tokens: Tensor, experts: Tensor, weights: Tensor) -> Tensor:
        """What came, as in `comm.reference.Received`, to [M, H]: weighted outputs, each the sum over the token's experts here, in their order."""
        order = expert_order(experts, len(self.held))
        parts = permute(tokens, order).split(order.counts)
        made = torch.cat([expert(part) for expert, part in zip(self.held, parts, strict=True)])
        weighted = made * permute_weights(weights, order).unsqueeze(1)
        return unpermute(weighted, order, len(tokens))
