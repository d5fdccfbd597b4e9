"""A forward and a backward that take turns leave what they leave one after the other, in any order of the lanes."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.overlap import Order, overlapped_forward_backward
from dualpipe_ref.schedule import InputError
from dualpipe_ref.simulate.lane_search import best_order
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, needs, published_order

Result = tuple[Tensor, Tensor | None, list[Tensor | None]]


def stage(layers: int, dense: int) -> Stage:
    config = ModelConfig(
        vocabulary=11, hidden=12, layers=layers + 2, heads=2, head_dim=4, rotary_dim=2,
        key_value_latent=5, experts=4, expert_hidden=7, dense_layers=1 + dense,
    )  # fmt: skip
    made = Stage(config, 0, 1, Buffer(Topology(1, 1), 4, Alone()))
    made.layers = made.layers[1:-1]  # between an embedding and a loss
    return made


def tokens(seed: int) -> tuple[Tensor, Tensor]:
    both = torch.randint(11, (2, 6), generator=torch.Generator().manual_seed(seed))
    return both[:, :-1], both[:, 1:]


def run(forward: Stage, backward: Stage, order: Order | None) -> Result:
    """What is left: the loss of one, and all gradients of the other."""
    backward.zero_grad(set_to_none=True)
    new, old = ChunkRun(forward.parts(), *tokens(0)), ChunkRun(backward.parts(), *tokens(1))
    old.forward()
    gradient = torch.ones_like(old.values[0])
    if order is None:
        new.forward()
        old.judge_back(gradient, split=False)
        old.backward(split=False)
    else:
        overlapped_forward_backward(new, old, gradient, lambda _: order)
    return new.values[0], backward.embedding.grad, [one.grad for one in backward.parameters()]


def same(one: Result, other: Result) -> bool:
    pairs = [(one[0], other[0]), *zip(one[2], other[2], strict=True)]
    return all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in pairs
    )


def random_order(layers: int, seed: int) -> Order:
    """Pieces drawn one after another among those whose need is met: both lanes in that order run to their end."""
    drawn, wanted = random.Random(seed), needs(layers)
    left, order = dict(wanted), {lane: [] for lane in Lane}
    while left:
        piece = drawn.choice([one for one, before in left.items() if before not in left])
        del left[piece]
        order[piece.lane].append(piece)
    return order


@given(st.integers(1, 3), st.integers(0, 10_000), st.integers(0, 1))
def test_any_order_leaves_what_one_after_the_other_leaves(
    layers: int, seed: int, dense: int
) -> None:
    one = stage(layers, dense)
    assert same(run(one, one, None), run(one, one, random_order(layers, seed)))


@pytest.mark.parametrize(("forward", "backward"), [(1, 3), (3, 1), (2, 2)])
def test_chunks_of_different_length_take_turns_as_far_as_they_can(
    forward: int, backward: int
) -> None:
    stages = stage(forward, 0), stage(backward, 0)
    for order in (
        published_order(min(forward, backward)),
        best_order(min(forward, backward), LaneCosts(combine=3)),
    ):
        assert same(run(*stages, None), run(*stages, order))


def test_an_order_that_stops_is_refused_with_who_waits_for_whom() -> None:
    order = published_order(1)
    order[Lane.NETWORK].reverse()  # the forward's combine first, which comes last
    one = stage(1, 0)
    with pytest.raises(InputError, match=r"ring; got .* waits for the .* behind the combine\(F\)"):
        run(one, one, order)


def test_a_lost_w_is_seen() -> None:
    one = stage(2, 0)
    wanted = run(one, one, None)
    got = run(one, one, published_order(2))
    got[2][0] = None
    assert not same(wanted, got)
