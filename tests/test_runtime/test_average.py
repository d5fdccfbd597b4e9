"""The average of parameters on the host: the recurrence, beside other work, and in use."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dualpipe_ref import InputError
from dualpipe_ref.runtime.average import HostAverage


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 5))
def test_every_step_moves_it_by_the_recurrence(decay: float, steps: int) -> None:
    torch.manual_seed(steps)
    layer = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    average = HostAverage([layer], decay)
    wanted = {name: one.detach().clone() for name, one in layer.named_parameters()}
    for _ in range(steps):
        for name, one in layer.named_parameters():
            one.data.add_(torch.randn_like(one))
            wanted[name].lerp_(one.detach(), 1 - decay)
        average.begin()
        layer(torch.ones(1, 3))  # what a step does beside
        average.wait()
    for _, name, value in average.named():
        assert torch.equal(value, wanted[name])


def test_parameters_are_the_average_while_it_is_in_use_and_themselves_after() -> None:
    layer = nn.Linear(2, 2)
    average = HostAverage([layer], 0.5)
    before = layer.weight.detach().clone()
    layer.weight.data.add_(1)
    own = layer.weight.detach().clone()
    with contextlib.suppress(KeyError), average.in_use():
        assert torch.equal(layer.weight, before)
        raise KeyError  # what is done meanwhile may fail
    assert torch.equal(layer.weight, own)


def test_parameters_in_two_bytes_are_averaged_in_four() -> None:
    layer = nn.Linear(4, 4, bias=False).bfloat16()
    average = HostAverage([layer], 0.999)
    assert average.bytes == 4 * 16
    start = next(value for _, _, value in average.named()).clone()
    layer.weight.data.add_(1)
    average.begin()
    (moved,) = [value for _, _, value in average.named()]
    assert bool((moved > start).all())  # a thousandth, which bf16 would lose


def test_what_goes_wrong_beside_is_raised_at_the_wait() -> None:
    layer = nn.Linear(2, 2)
    average = HostAverage([layer], 0.5)
    layer.weight.data = torch.ones(3, 3)
    average.begin()
    with pytest.raises(RuntimeError):
        average.wait()


@pytest.mark.parametrize("decay", [0, 1, -0.5, 2])
def test_a_decay_that_is_none(decay: float) -> None:
    with pytest.raises(InputError, match="a decay is between 0 and 1"):
        HostAverage([nn.Linear(1, 1)], decay)
