"""The sizes of a model. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dualpipe_ref.schedule.errors import InputError, require_int

Attention = Literal["latent", "plain"]
Recompute = Literal["none", "norms", "up-projections", "full"]


@dataclass(frozen=True)
class ModelConfig:
    """All sizes; the defaults train on two CPU cores.

    `attention` is "latent" (multi-head latent attention, DeepSeek-V2 report, arXiv:2405.04434, section 2.1) or "plain".
    Keys and queries have `head_dim` numbers without and `rotary_dim` with a rotary embedding. The first
    `dense_layers` layers have an ordinary MLP; the others `shared_experts` and `experts`, of which a token goes to
    `experts_per_token` on at most `node_limit` of `expert_nodes` nodes (None: any). `recompute` is what a forward does not
    keep for its backward; see `model.recompute`.

    >>> ModelConfig(hidden=64, heads=2).head_dim
    32
    >>> ModelConfig(rotary_dim=7)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: rotary_dim is even: pairs of numbers are turned; got rotary_dim = 7; nearest legal: rotary_dim = 8
    """

    vocabulary: int = 256
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    head_dim: int = 32
    rotary_dim: int = 16
    attention: Attention = "latent"
    query_latent: int | None = None
    key_value_latent: int = 64
    experts: int = 8
    experts_per_token: int = 2
    expert_hidden: int = 128
    shared_experts: int = 1
    dense_layers: int = 0
    expert_nodes: int = 1
    node_limit: int | None = None
    routed_scale: float = 1.0
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-6
    recompute: Recompute = "none"

    def __post_init__(self) -> None:
        for name in ("vocabulary", "hidden", "layers", "heads", "head_dim", "rotary_dim"):
            require_int(name, getattr(self, name), 1)
        for name in ("key_value_latent", "experts", "experts_per_token", "expert_hidden"):
            require_int(name, getattr(self, name), 1)
        for name in ("shared_experts", "dense_layers"):
            require_int(name, getattr(self, name), 0)
        if self.rotary_dim % 2:
            raise InputError(
                "rotary_dim is even: pairs of numbers are turned",
                f"rotary_dim = {self.rotary_dim}",
                f"rotary_dim = {self.rotary_dim + 1}",
            )
        if self.experts_per_token > self.experts:
            raise InputError(
                "a token goes to no more experts than there are",
                f"experts_per_token = {self.experts_per_token}",
                f"experts_per_token = {self.experts}",
            )
        if self.attention not in ("latent", "plain"):
            raise InputError("attention is 'latent' or 'plain'", repr(self.attention), "'latent'")
        if self.recompute not in get_args(Recompute):
            raise InputError(
                f"recompute is one of {', '.join(get_args(Recompute))}",
                repr(self.recompute),
                "'norms'",
            )
        if self.recompute == "up-projections" and self.attention != "latent":
            raise InputError(
                "up-projections are made again from latent vectors, which plain attention has not",
                f"recompute = {self.recompute!r}, attention = {self.attention!r}",
                "recompute = 'norms'",
            )
