"""What is made again has the same bits, counts nothing twice, and keeps less."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.live_bytes import LiveBytes

SMALL = ModelConfig(
    vocabulary=13,
    hidden=12,
    layers=3,
    heads=2,
    head_dim=4,
    rotary_dim=2,
    key_value_latent=5,
    query_latent=6,
    experts=4,
    expert_hidden=7,
    dense_layers=1,
)
POLICIES = ("norms", "up-projections", "full")


def stage_of(config: ModelConfig, number: int = 0, stages: int = 1) -> Stage:
    return Stage(config, number, stages, Buffer(Topology(1, 1), config.experts, Alone()))


def data(sequences: int, tokens: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sequences + 100 * tokens)
    both = torch.randint(13, (sequences, tokens + 1), generator=generator)
    return both[:, :-1], both[:, 1:]


def left(stage: Stage) -> dict[str, Tensor]:
    """Gradients and buffers after a backward."""
    found = {name: one.grad for name, one in stage.named_parameters() if one.grad is not None}
    return found | dict(stage.named_buffers())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def after_whole(config: ModelConfig, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    stage = stage_of(config)
    stage(inputs, targets).backward()
    return left(stage)


def after_parts(config: ModelConfig, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """In parts, with every backward in two halves: the first stage leaves its I, then all W."""
    first, last = stage_of(config, 0, 2), stage_of(config, 1, 2)
    one = ChunkRun(first.parts(), inputs, None)
    one.forward()
    two = ChunkRun(last.parts(), one.values[0], targets)
    two.forward()
    two.judge_back(torch.ones_like(two.values[0]), split=True)
    two.backward(split=True)
    (gradient,) = two.gradients
    assert gradient is not None
    one.judge_back(gradient, split=True)
    one.backward(split=True)
    two.weights()
    one.weights()
    return {f"0 {name}": value for name, value in left(first).items()} | {
        f"1 {name}": value for name, value in left(last).items()
    }


@pytest.mark.parametrize("attention", ["latent", "plain"])
@pytest.mark.parametrize("run", [after_whole, after_parts])
@settings(max_examples=5, deadline=None)
@given(st.integers(1, 3), st.integers(1, 7), st.sampled_from([None, 6]))
def test_gradients_and_counts_are_the_same_bits(
    run, attention, sequences: int, tokens: int, latent: int | None
) -> None:
    config = replace(SMALL, attention=attention, query_latent=latent)
    wanted = run(config, *data(sequences, tokens))
    for policy in POLICIES:
        if policy == "up-projections" and attention == "plain":
            continue
        assert same(run(replace(config, recompute=policy), *data(sequences, tokens)), wanted)


def kept(policy: str) -> int:
    """Bytes that a forward leaves beside parameters, with sizes at which activations count."""
    stage, (inputs, targets) = stage_of(replace(SMALL, recompute=policy)), data(2, 24)
    with LiveBytes(stage.parameters()) as count:
        loss = stage(inputs, targets)
        found = count.by_kind["activations"]
    loss.backward()
    return found


def test_each_policy_keeps_less_than_the_one_before() -> None:
    sizes = [kept(policy) for policy in ("none", *POLICIES)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_a_wrong_remake_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a norm that is made again without its scale's last bit."""
    from dualpipe_ref.model import attention

    wanted = after_whole(SMALL, *data(2, 5))
    right = attention._unit
    monkeypatch.setattr(attention, "_unit", lambda *kept: right(*kept) * (1 + 2**-20))
    assert not same(after_whole(replace(SMALL, recompute="norms"), *data(2, 5)), wanted)


def test_a_second_run_that_counts_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from dualpipe_ref.model import experts

    wanted = after_parts(SMALL, *data(2, 5))
    monkeypatch.setattr(experts, "is_second", lambda: False)
    assert not same(after_parts(replace(SMALL, recompute="full"), *data(2, 5)), wanted)


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"recompute": "all"}, "'norms'"),
        ({"recompute": "up-projections", "attention": "plain"}, "recompute = 'norms'"),
    ],
)
def test_a_policy_that_there_is_not(options: dict[str, str], nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(SMALL, **options)  # type: ignore[arg-type]
    assert caught.value.nearest == nearest


@pytest.mark.parametrize("policy", ["none", *POLICIES])
def test_a_split_backward_leaves_nothing_behind(policy: str) -> None:
    """Without Python's collector: no saved tensor may hold the node that holds it."""
    stage, (inputs, _) = stage_of(replace(SMALL, recompute=policy), 1, 3), data(2, 24)
    source = torch.ones(*inputs.shape, SMALL.hidden)
    gc.collect()
    gc.disable()
    try:
        with LiveBytes(stage.parameters()) as count:
            count.name("inputs", [source, *stage.buffers()])
            chunk = ChunkRun(stage.parts(), source, None)
            chunk.forward()
            chunk.judge_back(torch.ones_like(chunk.values[0]), split=True)
            chunk.backward(split=True)
            chunk.weights()
            del chunk
            assert count.by_kind["activations"] == 0
    finally:
        gc.enable()
