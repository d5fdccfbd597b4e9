"""Causal attention: multi-head latent (keys and values from one small vector a token) or plain, with rotary embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.initial import normal
from dualpipe_ref.model.recompute import Again, offer


class Projection(nn.Module):
    """x W^T without a bias; the weight [out, in] is drawn by its name."""

    def __init__(self, name: str, inputs: int, outputs: int, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(name, (outputs, inputs), seed, inputs**-0.5))

    def forward(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.weight)


class Norm(nn.Module):
    """Divide by the root mean square (RMSNorm), then scale; computed in at least float32.

    >>> Norm(2, 0.0)(torch.tensor([3.0, 4.0])).tolist()
    [0.84852..., 1.13137...]
    """

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        wide = values.to(torch.promote_types(values.dtype, torch.float32))
        mean = wide.pow(2).mean(dim=-1, keepdim=True)
        inverse = torch.rsqrt(mean + self.epsilon)
        unit = (wide * inverse).to(values.dtype)
        kept = values.detach(), inverse.detach()
        offer(unit, lambda: _unit(*kept))
        out: Tensor = unit * self.scale
        offer(out, lambda: _unit(*kept) * self.scale)
        return out


def _unit(values: Tensor, inverse: Tensor) -> Tensor:
    """What a norm leaves before its scale."""
    return (values.to(inverse.dtype) * inverse).to(values.dtype)


def turned(values: Tensor, base: float) -> Tensor:
    """Rotary embedding of [B, A, S, D]: numbers 2i and 2i + 1 are turned by position * base^(-2i / D).

    >>> turned(torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]), 10.0)[0, 0, :, 0].tolist()
    [1.0, 0.540302...]
    """
    positions, size = values.shape[2], values.shape[3]
    exponents = torch.arange(0, size, 2, device=values.device, dtype=torch.float64) / size
    angles = torch.outer(
        torch.arange(positions, device=values.device, dtype=torch.float64), base**-exponents
    )
    cos, sin = angles.cos().to(values.dtype), angles.sin().to(values.dtype)
    even, odd = values[..., 0::2], values[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3)


class PlainAttention(nn.Module):
    """Every head has its own keys and values; all of a head but the rotary part stays as it is."""

    def __init__(self, config: ModelConfig, name: str, seed: int) -> None:
        super().__init__()
        self.config = config
        wide = config.heads * (config.head_dim + config.rotary_dim)
        self.query = Projection(f"{name}.query", config.hidden, wide, seed)
        self.key = Projection(f"{name}.key", config.hidden, wide, seed)
        narrow = config.heads * config.head_dim
        self.value = Projection(f"{name}.value", config.hidden, narrow, seed)
        self.out = Projection(f"{name}.out", narrow, config.hidden, seed)

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]; a position sees itself and those before it."""
        heads, config = self.config.heads, self.config
        query, key = (_heads(one(values), heads) for one in (self.query, self.key))
        parts = [one.split((config.head_dim, config.rotary_dim), dim=3) for one in (query, key)]
        scaled = [_scaled(plain, rotary, config.rotary_base) for plain, rotary in parts]
        value = _heads(self.value(values), heads).contiguous()
        return self.out(attended(scaled[0], scaled[1], value))


class LatentAttention(nn.Module):
    """Keys and values of all heads grow out of one latent vector a token; one rotary key serves all heads."""

    def __init__(self, config: ModelConfig, name: str, seed: int) -> None:
        super().__init__()
        self.config = config
        wide = config.heads * (config.head_dim + config.rotary_dim)
        source = config.query_latent or config.hidden
        self.query_down = (
            Projection(f"{name}.query_down", config.hidden, source, seed)
            if config.query_latent
            else None
        )
        self.query_norm = Norm(source, config.norm_epsilon) if config.query_latent else None
        self.query_up = Projection(f"{name}.query_up", source, wide, seed)
        latent = config.key_value_latent
        self.down = Projection(f"{name}.down", config.hidden, latent + config.rotary_dim, seed)
        self.norm = Norm(latent, config.norm_epsilon)
        self.up = Projection(f"{name}.up", latent, config.heads * 2 * config.head_dim, seed)
        self.out = Projection(f"{name}.out", config.heads * config.head_dim, config.hidden, seed)

    def forward(self, values: Tensor) -> Tensor:
        """[B, S, H] to [B, S, H]; a position sees itself and those before it."""
        config = self.config
        source = values if self.query_down is None else self.query_down(values)
        latent, rotary = self.down(values).split(
            (config.key_value_latent, config.rotary_dim), dim=2
        )
        query, grown = self._query(source), self._grown(latent)
        key, value = self._key(grown, rotary), self._value(grown)
        if config.recompute == "up-projections":
            self._offer((query, key, value), source.detach(), latent.detach(), rotary.detach())
        del grown
        return self.out(attended(query, key, value))

    def _offer(
        self, grown: tuple[Tensor, Tensor, Tensor], source: Tensor, latent: Tensor, rotary: Tensor
    ) -> None:
        """Queries, keys and values can be made again; a query without a latent vector is no up-projection, and stays."""
        query, key, value = grown
        both = Again(lambda: self._grown(latent), users=2)
        offer(key, lambda: self._key(both.take(), rotary))
        offer(value, lambda: self._value(both.take()))
        if self.query_down is not None:
            offer(query, lambda: self._query(source))

    def _query(self, source: Tensor) -> Tensor:
        """[B, S, latent or H] to [B, A, S, D + R]."""
        if self.query_norm is not None:
            source = self.query_norm(source)
        query = _heads(self.query_up(source), self.config.heads)
        plain, rotary = query.split((self.config.head_dim, self.config.rotary_dim), dim=3)
        return _scaled(plain, rotary, self.config.rotary_base)

    def _grown(self, latent: Tensor) -> Tensor:
        """[B, S, latent] to [B, A, S, 2 D]: the keys and values of all heads."""
        return _heads(self.up(self.norm(latent)), self.config.heads)

    def _key(self, grown: Tensor, rotary: Tensor) -> Tensor:
        """[B, A, S, D + R]; the rotary part [B, S, R] is that of all heads."""
        shared = rotary.unsqueeze(1).expand(-1, self.config.heads, -1, -1)
        return _scaled(grown[..., : self.config.head_dim], shared, self.config.rotary_base)

    def _value(self, grown: Tensor) -> Tensor:
        """[B, A, S, D], on its own: a part of `grown` would keep all of it."""
        return grown[..., self.config.head_dim :].contiguous()


def _heads(values: Tensor, heads: int) -> Tensor:
    """[B, S, A D] as [B, A, S, D]."""
    return values.unflatten(2, (heads, -1)).transpose(1, 2)


def _scaled(plain: Tensor, rotary: Tensor, base: float) -> Tensor:
    """Queries or keys [B, A, S, D + R], each with one half of the scale of their products."""
    whole = torch.cat((plain, turned(rotary, base)), dim=3)
    return whole * whole.shape[3] ** -0.25


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention of scaled queries and keys [B, A, S, D + R] and values [B, A, S, D]: [B, S, A D].

    On a CPU torch has no fused kernel for keys and values of different sizes, and would keep a second copy of all three.
    """
    if query.is_cuda:
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0)
    else:
        positions = query.shape[2]
        later = torch.full((positions, positions), -torch.inf, dtype=query.dtype).triu(1)
        seen = (query @ key.transpose(2, 3)).add_(later).softmax(dim=3) @ value
    return seen.transpose(1, 2).flatten(2)


def attention_of(config: ModelConfig, name: str, seed: int) -> PlainAttention | LatentAttention:
    """The attention that the config asks for."""
    kind = LatentAttention if config.attention == "latent" else PlainAttention
    return kind(config, name, seed)
