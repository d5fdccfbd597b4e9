"""The model's parts against slow ones, and its cuts against the whole."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import Layer, ModelConfig, Stage, layers_of_stages
from dualpipe_ref.model.attention import LatentAttention, PlainAttention, attention_of, turned

SMALL = ModelConfig(
    vocabulary=11,
    hidden=12,
    layers=4,
    heads=3,
    head_dim=4,
    rotary_dim=2,
    key_value_latent=5,
    experts=6,
    experts_per_token=2,
    expert_hidden=7,
)
ATTENTION = st.sampled_from(["latent", "plain"])


def config(**changes: Any) -> ModelConfig:
    return replace(SMALL, **changes)


def alone(sizes: ModelConfig = SMALL) -> Buffer:
    return Buffer(Topology(1, 1), sizes.experts, Alone())


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens_and_targets(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randint(SMALL.vocabulary, (2, 9), generator=generator)
    return both[:, :-1], both[:, 1:]


def rotated(vector: list[float], position: int, base: float) -> list[float]:
    """One head's rotary part at one position, pair by pair as complex numbers."""
    out: list[float] = []
    for pair in range(0, len(vector), 2):
        angle = position * base ** (-pair / len(vector))
        number = complex(vector[pair], vector[pair + 1]) * complex(math.cos(angle), math.sin(angle))
        out += [number.real, number.imag]
    return out


@pytest.mark.parametrize("kind", ["latent", "plain"])
@pytest.mark.parametrize("query_latent", [None, 6])
def test_attention_is_what_a_loop_computes(kind: str, query_latent: int | None) -> None:
    sizes = config(attention=kind, query_latent=query_latent, rotary_dim=4)
    block = attention_of(sizes, "a", 0).double()
    values = drawn(1, 5, sizes.hidden)
    heads, plain, turn = sizes.heads, sizes.head_dim, sizes.rotary_dim
    with torch.no_grad():
        if isinstance(block, PlainAttention):
            query, key = block.query(values)[0], block.key(values)[0]
            value = block.value(values)[0].view(-1, heads, plain)
            keys = key.view(-1, heads, plain + turn)
        else:
            assert isinstance(block, LatentAttention)
            source = values
            if block.query_down is not None and block.query_norm is not None:
                source = block.query_norm(block.query_down(values))
            query = block.query_up(source)[0]
            down = block.down(values)[0]
            grown = block.up(block.norm(down[:, : sizes.key_value_latent])).view(
                -1, heads, 2 * plain
            )
            shared = down[:, sizes.key_value_latent :].unsqueeze(1).expand(-1, heads, -1)
            keys = torch.cat((grown[..., :plain], shared), dim=2)
            value = grown[..., plain:]
        queries = query.view(-1, heads, plain + turn)
        seen = torch.zeros(5, heads, plain, dtype=torch.float64)
        for head in range(heads):
            for at in range(5):
                scores = []
                for other in range(at + 1):
                    q, k = queries[at, head].tolist(), keys[other, head].tolist()
                    q = q[:plain] + rotated(q[plain:], at, sizes.rotary_base)
                    k = k[:plain] + rotated(k[plain:], other, sizes.rotary_base)
                    dot = sum(a * b for a, b in zip(q, k, strict=True))
                    scores.append(dot / math.sqrt(plain + turn))
                share = torch.tensor(scores, dtype=torch.float64).softmax(dim=0)
                seen[at, head] = sum(s * value[j, head] for j, s in enumerate(share))
        wanted = block.out(seen.flatten(1))
    assert torch.allclose(block(values)[0], wanted, rtol=1e-10, atol=1e-12)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
def test_turned_vectors_see_only_their_distance(one: int, other: int, further: int) -> None:
    first, second = drawn(1, 1, 1, 4), drawn(1, 1, 1, 4, seed=1)

    def product(a: int, b: int) -> float:
        length = max(a, b) + 1
        rows = [turned(vector.expand(1, 1, length, 4), 100.0)[0, 0] for vector in (first, second)]
        return float(rows[0][a] @ rows[1][b])

    assert product(one, other) == pytest.approx(product(one + further, other + further), abs=1e-9)


@settings(max_examples=15)
@given(ATTENTION, st.integers(1, 7), st.integers(0, 3))
def test_no_token_sees_those_after_it(kind: str, place: int, dense: int) -> None:
    sizes = config(attention=kind, dense_layers=dense)
    model = Stage(sizes, 0, 1, alone(sizes)).double().eval()
    tokens, _ = tokens_and_targets()
    changed = tokens.clone()
    changed[:, place:] = (changed[:, place:] + 1) % sizes.vocabulary
    before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :place], after[:, :place], atol=1e-12)
    assert not torch.allclose(before[:, place:], after[:, place:], atol=1e-12)


def test_experts_are_what_a_loop_computes() -> None:
    layer = Layer(SMALL, 0, 0, alone()).double()
    values = drawn(2, 4, SMALL.hidden)
    residual, tokens, experts, weights_of_token = layer.attention(values)
    wanted = residual.clone().flatten(0, 1)
    for token, (chosen, weights) in enumerate(zip(experts.tolist(), weights_of_token, strict=True)):
        one = tokens[token : token + 1]
        assert layer.shared is not None
        wanted[token] += layer.shared(one)[0]
        for expert, weight in zip(chosen, weights, strict=True):
            wanted[token] += weight * layer.experts.held[expert](one)[0]
    assert torch.allclose(layer(values).flatten(0, 1), wanted, atol=1e-12)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["latent", "plain"])
def test_a_model_in_stages_is_the_whole_bit_for_bit(stages: int, kind: str) -> None:
    sizes = config(attention=kind, dense_layers=1)
    tokens, targets = tokens_and_targets()
    whole = Stage(sizes, 0, 1, alone(sizes), seed=3)
    parts = [Stage(sizes, number, stages, alone(sizes), seed=3) for number in range(stages)]
    loss = whole(tokens, targets)
    values = tokens
    for part in parts[:-1]:
        values = part(values)
    cut = parts[-1](values, targets)
    assert torch.equal(loss, cut)
    loss.backward()
    cut.backward()
    wanted = dict(whole.named_parameters())
    held = layers_of_stages(sizes.layers, stages)
    seen = 0
    for part, layers in zip(parts, held, strict=True):
        for name, parameter in part.named_parameters():
            if name.startswith("layers."):
                _, number, rest = name.split(".", 2)
                name = f"layers.{layers[int(number)]}.{rest}"
            assert torch.equal(parameter, wanted[name])
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, wanted[name].grad), name
            seen += 1
    assert seen == len(wanted)


def test_another_seed_gives_another_model() -> None:
    one, other = (Stage(SMALL, 0, 1, alone(), seed=seed) for seed in (0, 1))
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    same = [name for (name, a), (_, b) in pairs if torch.equal(a, b)]
    assert all(name.endswith("scale") for name in same)


def test_the_load_is_counted_and_the_bias_moved() -> None:
    model = Stage(SMALL, 0, 1, alone())
    tokens, targets = tokens_and_targets()
    model(tokens, targets)
    router = model.layers[0].router
    assert int(router.load.sum()) == tokens.numel() * SMALL.experts_per_token
    load = router.load.clone()
    router.balance(load, 0.1)
    assert int(router.load.sum()) == 0
    mean = float(load.double().mean())
    for count, moved in zip(load.tolist(), router.bias.tolist(), strict=True):
        assert moved == pytest.approx(0.1 * ((count < mean) - (count > mean)))
    model.eval()
    model(tokens)
    assert int(router.load.sum()) == 0


def test_it_learns() -> None:
    """Twenty steps on one text: the loss falls from ln V to less than half of it."""
    model = Stage(SMALL, 0, 1, alone())
    tokens, targets = tokens_and_targets()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(tokens, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(SMALL.vocabulary), abs=0.7)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 0}, "hidden must be an int of at least 1"),
        ({"experts_per_token": 9}, "nearest legal: experts_per_token = 6"),
        ({"attention": "sparse"}, "'latent' or 'plain'"),
        ({"shared_experts": -1}, "shared_experts must be an int of at least 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**changes)


def test_a_stage_without_a_layer_is_refused() -> None:
    with pytest.raises(InputError, match="nearest legal: layers = 5"):
        layers_of_stages(4, 5)
