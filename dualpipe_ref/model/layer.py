"""One layer as four parts, so that two chunks can take turns between computation and communication.

attention -> dispatch -> MLP -> combine (DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1): the first and the third compute, the
other two are on the network. The shared expert and the router stand where their input is ready; see each part.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.handle import Handle
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.started import Started
from dualpipe_ref.model.attention import Norm, attention_of
from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.experts import Experts, GatedMLP, Router
from dualpipe_ref.model.parts import (
    Computation,
    Gradients,
    LayerParts,
    StageParts,
    Values,
    run_parts,
)
from dualpipe_ref.model.recompute import Remade, remaking


class Dispatch:
    """The second part: tokens go to the ranks of their experts; the residual stays here."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def start(
        self, residual: Tensor, tokens: Tensor, experts: Tensor, weights: Tensor
    ) -> Started[tuple[Values, Handle]]:
        """What `Layer.attention` left becomes what `Layer.mlp` takes."""
        moving = self.buffer.start_dispatch(tokens, Routing(experts, weights))

        def finish() -> tuple[Values, Handle]:
            came, handle = moving.wait()
            return (residual, tokens, came.tokens, came.experts, came.weights, handle), handle

        return Started(finish)

    def start_back(self, context: Handle, gradients: Gradients) -> Started[Gradients]:
        """A token's gradient: what its copies bring back, and what the shared expert gave it here."""
        residual, kept, tokens, _, weights, _ = gradients
        assert kept is not None
        assert tokens is not None
        assert weights is not None
        moving = self.buffer.start_dispatch_back(tokens, weights, context)

        def finish() -> Gradients:
            came, of_weights = moving.wait()
            return residual, kept + came, None, of_weights

        return Started(finish)


class Combine:
    """The fourth part: outputs go back to their tokens and are added to the residual."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def start(
        self, outputs: Tensor, residual: Tensor, handle: Handle
    ) -> Started[tuple[Values, Handle]]:
        """What `Layer.mlp` left becomes the layer's result [B, S, H]."""
        moving = self.buffer.start_combine(outputs, handle)
        return Started(lambda: ((residual + moving.wait().view_as(residual),), handle))

    def start_back(self, context: Handle, gradients: Gradients) -> Started[Gradients]:
        (gradient,) = gradients
        assert gradient is not None
        moving = self.buffer.start_combine_back(gradient.flatten(0, 1), context)
        return Started(lambda: (moving.wait(), gradient, None))


PIECEWISE = ("norms", "up-projections")  # policies that replace single tensors


def _kept(policy: str, *computations: Computation) -> tuple[Computation, ...]:
    """The computations, each to be run again before its backward where all of it is."""
    return tuple(map(Remade, computations)) if policy == "full" else computations


class Layer(nn.Module):
    """One layer with experts, of which this rank holds those that `buffer` gives it."""

    def __init__(self, config: ModelConfig, number: int, seed: int, buffer: Buffer) -> None:
        super().__init__()
        name = f"layer {number}"
        self.buffer, self.recompute = buffer, config.recompute
        self.attention_norm = Norm(config.hidden, config.norm_epsilon)
        self.attention_block = attention_of(config, f"{name}.attention", seed)
        self.experts_norm = Norm(config.hidden, config.norm_epsilon)
        self.router = Router(config, f"{name}.router", seed)
        first = buffer.rank * buffer.experts_here
        self.experts = Experts(config, f"{name}.expert", seed, first, buffer.experts_here)
        inner = config.shared_experts * config.expert_hidden
        self.shared = GatedMLP(f"{name}.shared", config.hidden, inner, seed) if inner else None

    def attention(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, S, H]: attention, then the norm and the router of the experts.

        The residual [B, S, H], and what the experts are to see: tokens [T, H] with their experts and weights [T, K].
        """
        with remaking(self.recompute in PIECEWISE):
            residual = values + self.attention_block(self.attention_norm(values))
            tokens = self.experts_norm(residual).flatten(0, 1)
            routing = self.router(tokens)
        return residual, tokens, routing.experts, routing.weights

    def mlp(
        self,
        residual: Tensor,
        tokens: Tensor,
        came: Tensor,
        experts: Tensor,
        weights: Tensor,
        handle: Any,
    ) -> tuple[Tensor, Tensor, Any]:
        """The routed experts on what came [M, H], and the residual with the shared expert's output [B, S, H]."""
        if self.shared is not None:
            residual = residual + self.shared(tokens).view_as(residual)
        return self.experts(came, experts, weights), residual, handle

    def parts(self) -> LayerParts:
        """The four parts in their order."""
        attention, mlp = _kept(self.recompute, self.attention, self.mlp)
        return LayerParts(attention, Dispatch(self.buffer), mlp, Combine(self.buffer))

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]: the four parts one after another."""
        return _in_one(self.parts(), values)


def _in_one(parts: LayerParts, values: Tensor) -> Tensor:
    return run_parts(StageParts(None, (parts,), None), values)


class DenseLayer(nn.Module):
    """One of the first layers, with an ordinary MLP in place of experts."""

    def __init__(self, config: ModelConfig, number: int, seed: int) -> None:
        super().__init__()
        name = f"layer {number}"
        self.recompute = config.recompute
        self.attention_norm = Norm(config.hidden, config.norm_epsilon)
        self.attention_block = attention_of(config, f"{name}.attention", seed)
        self.mlp_norm = Norm(config.hidden, config.norm_epsilon)
        inner = config.expert_hidden * (config.shared_experts + config.experts_per_token)
        self.mlp_block = GatedMLP(f"{name}.mlp", config.hidden, inner, seed)

    def attention(self, values: Tensor) -> tuple[Tensor]:
        """[B, S, H] to [B, S, H]."""
        with remaking(self.recompute in PIECEWISE):
            return (values + self.attention_block(self.attention_norm(values)),)

    def mlp(self, values: Tensor) -> tuple[Tensor]:
        """[B, S, H] to [B, S, H]."""
        with remaking(self.recompute in PIECEWISE):
            return (values + self.mlp_block(self.mlp_norm(values)),)

    def parts(self) -> LayerParts:
        """The same four parts; nothing is sent."""
        attention, mlp = _kept(self.recompute, self.attention, self.mlp)
        return LayerParts(attention, None, mlp, None)

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]."""
        return _in_one(self.parts(), values)
