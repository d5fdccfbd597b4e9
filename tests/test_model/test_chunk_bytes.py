"""What the arithmetic says a chunk keeps, kind by kind in its sum, against what torch really holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.model.shape import shape_of
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.live_bytes import LiveBytes
from dualpipe_ref.simulate import chunk_bytes
from dualpipe_ref.simulate.chunk_bytes import POLICIES, Batch, eager_chunk


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Small models of any proportions. Sizes are 2 at least: at 1 torch hands a tensor on where it would copy it."""
    sizes = st.integers(2, 9)
    return ModelConfig(
        vocabulary=draw(st.integers(2, 40)),
        hidden=draw(st.integers(2, 20)),
        layers=draw(st.integers(2, 4)),
        heads=draw(st.integers(2, 3)),
        head_dim=draw(sizes),
        rotary_dim=2 * draw(st.integers(1, 3)),
        query_latent=draw(st.none() | sizes),
        key_value_latent=draw(sizes),
        experts=draw(st.integers(3, 6)),
        experts_per_token=draw(st.integers(2, 3)),
        expert_hidden=draw(st.integers(2, 12)),
        shared_experts=draw(st.integers(0, 2)),
        dense_layers=draw(st.integers(0, 2)),
        recompute=draw(st.sampled_from(POLICIES)),  # type: ignore[arg-type]
    )


def held(config: ModelConfig, stage: int, sequences: int, tokens: int, is_cut: bool) -> int:
    """Bytes of activations after a forward on stage 0 or 1 of 2."""
    module = Stage(config, stage, 2, Buffer(Topology(1, 1), config.experts, Alone()))
    numbers = torch.zeros(sequences, tokens, dtype=torch.int64)
    numbers += torch.arange(tokens) % config.vocabulary
    source = numbers if stage == 0 else torch.randn(sequences, tokens, config.hidden)
    with LiveBytes(module.parameters()) as count:
        count.name("inputs", [numbers, *module.buffers()])
        count.name("activations", [source] if stage else [])
        chunk = ChunkRun(module.parts(), source, numbers if stage else None)
        (chunk.forward if is_cut else chunk.forward_whole)()
        return count.by_kind["activations"]


def predicted(config: ModelConfig, stage: int, sequences: int, tokens: int, is_cut: bool) -> int:
    return eager_chunk(
        shape_of(config),
        Batch(sequences, tokens),
        stage,
        2,
        policy=config.recompute,
        is_cut=is_cut,
    ).total


@settings(max_examples=20, deadline=None)
@given(configs(), st.integers(0, 1), st.integers(1, 3), st.integers(2, 9), st.booleans())
def test_every_byte_that_a_forward_keeps(
    config: ModelConfig, stage: int, sequences: int, tokens: int, is_cut: bool
) -> None:
    case = stage, sequences, tokens, is_cut
    assert predicted(config, *case) == held(config, *case)


CONFIG = ModelConfig(
    vocabulary=50,
    hidden=24,
    layers=2,
    heads=3,
    head_dim=8,
    rotary_dim=4,
    query_latent=12,
    key_value_latent=10,
    experts=6,
    expert_hidden=14,
)


@pytest.mark.parametrize("kind", eager_chunk(shape_of(CONFIG), Batch(2, 16), 0, 2).kept_by_forward)
def test_a_kind_that_is_forgotten_is_missed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault, for every kind that there is."""
    right = chunk_bytes._eager_layer

    def without(*of: object) -> chunk_bytes.Kinds:
        kinds = right(*of)  # type: ignore[arg-type]
        kinds[kind] = 0
        return kinds

    case = 0, 2, 16, False
    wanted = held(CONFIG, *case)
    assert predicted(CONFIG, *case) == wanted
    if kind != "output":  # of the stage, not of a layer
        monkeypatch.setattr(chunk_bytes, "_eager_layer", without)
        assert predicted(CONFIG, *case) < wanted


def test_policies_of_model_and_arithmetic_are_the_same() -> None:
    from typing import get_args

    from dualpipe_ref.model.config import Recompute

    assert get_args(Recompute) == POLICIES


def test_parameters_of_every_stage() -> None:
    for stages in (1, 2):
        for stage in range(stages):
            config = replace(CONFIG, dense_layers=1)
            module = Stage(config, stage, stages, Buffer(Topology(1, 1), 6, Alone()))
            count = sum(one.numel() for one in module.parameters())
            assert shape_of(config).stage(stage, stages).total == count
