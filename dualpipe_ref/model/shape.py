"""The shape of a model of this package, for arithmetic without torch."""

from __future__ import annotations

from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.shapes import ModelShape


def shape_of(config: ModelConfig) -> ModelShape:
    """What `simulate.shapes` and `simulate.chunk_bytes` reckon with. Raises `InputError` for plain attention.

    >>> shape_of(ModelConfig()).parameters.total
    2110848
    """
    if config.attention != "latent":
        raise InputError(
            "bytes are modelled for latent attention", f"{config.attention!r}", "'latent'"
        )
    return ModelShape(
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        nope=config.head_dim,
        rope=config.rotary_dim,
        value=config.head_dim,
        key_value_latent=config.key_value_latent,
        query_latent=config.query_latent,
        experts=config.experts,
        experts_per_token=config.experts_per_token,
        expert_hidden=config.expert_hidden,
        shared_experts=config.shared_experts,
        dense_layers=config.dense_layers,
        dense_hidden=config.expert_hidden * (config.shared_experts + config.experts_per_token),
        vocabulary=config.vocabulary,
    )
