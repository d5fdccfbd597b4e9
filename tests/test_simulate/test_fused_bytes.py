"""DeepSeek-V3's own deployment, by the model: what is said of it in the book follows from these numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.simulate import simulate
from dualpipe_ref.simulate.chunk_bytes import POLICIES
from dualpipe_ref.simulate.deployment import Precision
from dualpipe_ref.simulate.footprint import GRADIENTS, LASTING, PARAMETERS, STATES, footprint
from dualpipe_ref.simulate.fused_bytes import V3_BATCH, Deployment, fused_chunk
from dualpipe_ref.simulate.shapes import DEEPSEEK_V3

GB = 10**9


def test_policies_keep_less_and_less() -> None:
    kept = [fused_chunk(DEEPSEEK_V3, V3_BATCH, 1, 16, policy=one).total for one in POLICIES]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == len(POLICIES)


def test_queries_keys_and_values_by_hand() -> None:
    """4 layers, 4096 tokens, 128 heads, 192 + 192 + 128 numbers of 2 bytes."""
    kinds = fused_chunk(DEEPSEEK_V3, V3_BATCH, 1, 16).kept_by_forward
    assert kinds["queries, keys, values"] == 4 * 4096 * 128 * 512 * 2


def test_states_of_all_ranks_are_those_of_the_model() -> None:
    """ZeRO-1: over 2048 ranks every state is there once, whatever the copies in the pipeline."""
    for kind in ("1f1b", "dualpipe"):
        placement = build(kind, 16, 32).placement
        stages = Deployment().stages(placement)
        held = sum(stages[stage].states for homes in placement.homes for _, stage in homes)
        assert abs(held * 128 - 8 * DEEPSEEK_V3.parameters.total) < 128 * 32


def test_a_second_copy_is_affordable_where_experts_are_spread() -> None:
    """What the second copy of parameters and gradients costs a rank, with experts over 64 ranks and over 8."""

    def lasting(kind: str, expert_ranks: int) -> int:
        schedule = build(kind, 16, 32)
        deployment = Deployment(expert_ranks=expert_ranks, data_ranks=128 // expert_ranks)
        peak = footprint(simulate(schedule), deployment.stages(schedule.placement)).peaks[5]
        return sum(peak.kinds[kind] for kind in (PARAMETERS, GRADIENTS))

    for spread, least, most in ((64, 9, 11), (8, 35, 45)):
        extra = lasting("dualpipe", spread) - lasting("1f1b", spread)
        assert least * GB < extra < most * GB


def test_sharing_embedding_and_head_saves_one_copy_of_both() -> None:
    placement = build("dualpipe", 16, 32).placement
    own, shared = (Deployment(predicting=how).stages(placement)[15] for how in ("copies", "shares"))
    saved = own.parameters + own.gradients - shared.parameters - shared.gradients
    assert saved == 2 * DEEPSEEK_V3.embedding * (2 + 4)


def test_moments_in_two_bytes() -> None:
    placement = build("dualpipe", 16, 32).placement
    narrow = Deployment().stages(placement)[3].states
    wide = replace(Deployment(), precision=Precision(2, 4, 4, 4)).stages(placement)[3].states
    assert narrow * 3 == wide * 2


def test_the_average_counts_each_parameter_once() -> None:
    placement = build("dualpipe", 2, 4).placement
    parameters = DEEPSEEK_V3.parameters
    each = parameters.dense + parameters.experts / 64
    assert Deployment().average(placement, 0) == round(4 * each)


def test_an_unknown_policy() -> None:
    with pytest.raises(InputError, match="recompute is one of"):
        fused_chunk(DEEPSEEK_V3, V3_BATCH, 1, 16, policy="some")
    assert set(LASTING) == {PARAMETERS, GRADIENTS, STATES}
