"""Moments in fewer bytes: AdamW's own bits where they are as wide, and near to them where they are not."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dualpipe_ref.runtime.narrow_adamw import MOMENTS, NarrowAdamW, new_state

OPTIONS = {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.1}


def trained(make, steps: int, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 5)).pow(2).sum().backward()
        optimizer.step()
    return model, optimizer


def wide(parameters):  # type: ignore[no-untyped-def]
    return torch.optim.AdamW(parameters, foreach=False, **OPTIONS)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(0, 99))
def test_as_wide_as_the_parameters_it_is_adamw(steps: int, seed: int) -> None:
    narrow = trained(
        lambda some: NarrowAdamW(some, moments=torch.float32, foreach=False, **OPTIONS), steps, seed
    )
    theirs = trained(wide, steps, seed)
    for one, other in zip(narrow[0].parameters(), theirs[0].parameters(), strict=True):
        assert torch.equal(one, other)
        for name in ("step", *MOMENTS):
            assert torch.equal(narrow[1].state[one][name], theirs[1].state[other][name])


def test_two_bytes_are_near_and_half_as_many() -> None:
    narrow = trained(lambda some: NarrowAdamW(some, moments=torch.bfloat16, **OPTIONS), 20, 0)
    theirs = trained(wide, 20, 0)
    for one, other in zip(narrow[0].parameters(), theirs[0].parameters(), strict=True):
        assert not torch.equal(one, other)
        assert torch.allclose(one, other, atol=0.02)
        for name in MOMENTS:
            moment = narrow[1].state[one][name]
            assert 2 * moment.nbytes == theirs[1].state[other][name].nbytes


def test_new_states_are_those_of_the_first_step() -> None:
    model, optimizer = trained(wide, 1, 0)
    for one in model.parameters():
        made = new_state(one)
        assert {name: (value.shape, value.dtype) for name, value in made.items()} == {
            name: (value.shape, value.dtype) for name, value in optimizer.state[one].items()
        }
