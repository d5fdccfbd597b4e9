"""One layer as four parts, so that two chunks can take turns between computation and communication.

attention -> dispatch -> MLP -> combine (DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1): the first and the third compute, the
other two are on the network. The shared expert and the router stand where their input is ready; see each part.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dualpipe_ref.comm.buffer import Buffer, Handle, Started
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.model.attention import Norm, attention_of
from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.experts import Experts, GatedMLP, Router


class Attended(NamedTuple):
    """After attention: `residual` [B, S, H], and what the experts are to see: `tokens` [T, H] with their `routing`."""

    residual: Tensor
    tokens: Tensor
    routing: Routing


class Layer(nn.Module):
    """One layer with experts, of which this rank holds those that `buffer` gives it."""

    def __init__(self, config: ModelConfig, number: int, seed: int, buffer: Buffer) -> None:
        super().__init__()
        name = f"layer {number}"
        self.buffer = buffer
        self.attention_norm = Norm(config.hidden, config.norm_epsilon)
        self.attention_block = attention_of(config, f"{name}.attention", seed)
        self.experts_norm = Norm(config.hidden, config.norm_epsilon)
        self.router = Router(config, f"{name}.router", seed)
        first = buffer.mover.rank * buffer.experts_here
        self.experts = Experts(config, f"{name}.expert", seed, first, buffer.experts_here)
        inner = config.shared_experts * config.expert_hidden
        self.shared = GatedMLP(f"{name}.shared", config.hidden, inner, seed) if inner else None

    def attention(self, values: Tensor) -> Attended:
        """[B, S, H]: attention, then the norm and the router of the experts."""
        residual = values + self.attention_block(self.attention_norm(values))
        tokens = self.experts_norm(residual).flatten(0, 1)
        return Attended(residual, tokens, self.router(tokens))

    def dispatch(self, attended: Attended) -> Started[tuple[Received, Handle]]:
        """Begin to send the tokens to their experts."""
        return self.buffer.start_dispatch(attended.tokens, attended.routing)

    def mlp(self, received: Received, attended: Attended) -> tuple[Tensor, Tensor]:
        """The routed experts on what came [M, H], and the residual with the shared expert's output [B, S, H]."""
        residual = attended.residual
        if self.shared is not None:
            residual = residual + self.shared(attended.tokens).view_as(residual)
        return self.experts(received), residual

    def combine(self, outputs: Tensor, handle: Handle) -> Started[Tensor]:
        """Begin to bring the outputs back to their tokens."""
        return self.buffer.start_combine(outputs, handle)

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]: the four parts one after another."""
        attended = self.attention(values)
        received, handle = self.dispatch(attended).wait()
        outputs, residual = self.mlp(received, attended)
        return residual + self.combine(outputs, handle).wait().view_as(residual)


class DenseLayer(nn.Module):
    """One of the first layers, with an ordinary MLP in place of experts."""

    def __init__(self, config: ModelConfig, number: int, seed: int) -> None:
        super().__init__()
        name = f"layer {number}"
        self.attention_norm = Norm(config.hidden, config.norm_epsilon)
        self.attention_block = attention_of(config, f"{name}.attention", seed)
        self.mlp_norm = Norm(config.hidden, config.norm_epsilon)
        inner = config.expert_hidden * (config.shared_experts + config.experts_per_token)
        self.mlp_block = GatedMLP(f"{name}.mlp", config.hidden, inner, seed)

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]."""
        values = values + self.attention_block(self.attention_norm(values))
        out: Tensor = values + self.mlp_block(self.mlp_norm(values))
        return out
