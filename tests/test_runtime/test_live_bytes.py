"""The count of live bytes: each storage once, freed when it goes, named by what it is."""

from __future__ import annotations

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dualpipe_ref.runtime.live_bytes import LiveBytes


@pytest.fixture(autouse=True)
def _no_collector() -> object:
    """Frees must be seen without Python's cyclic collector."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def warmed_up() -> None:
    """The first op of a process under a mode makes torch load parts that keep what the frames above them hold."""
    with LiveBytes():
        torch.ones(1).sum()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.randoms())
def test_live_is_the_sum_of_what_is_held(sizes: list[int], chance: object) -> None:
    with LiveBytes() as count:
        held = [torch.zeros(size) for size in sizes]
        assert count.live == 4 * sum(sizes)
        while held:
            held.pop(chance.randrange(len(held)))  # type: ignore[attr-defined]
            assert count.live == 4 * sum(map(len, held))
    assert count.peak == 4 * sum(sizes)


def test_a_view_counts_nothing_and_keeps_its_storage() -> None:
    with LiveBytes() as count:
        row = torch.zeros(100).view(10, 10)[3]
        assert count.live == 400
        del row
        assert count.live == 0


def test_what_was_there_before_counts_when_it_is_read() -> None:
    before = torch.ones(50)
    with LiveBytes() as count:
        total = before.sum()
        assert count.live == 200 + 4
        del before
        assert count.live == 4
    assert total == 50


def test_kinds_and_saved_tensors() -> None:
    layer = nn.Linear(10, 20, bias=False)
    with LiveBytes(layer.parameters()) as count:
        x = torch.ones(5, 10, requires_grad=True)
        out = torch.tanh(layer(x))  # tanh keeps its result: `out` itself
        assert count.by_kind["parameters"] == 800
        assert count.by_kind["activations"] == 4 * (50 + 100)
        out.backward(torch.ones(5, 20))
        assert count.by_kind["gradients"] == 800
        layer.zero_grad(set_to_none=True)
        assert count.by_kind["gradients"] == 0
    assert sum(count.at_peak.values()) == count.peak


def test_a_kept_tensor_is_seen() -> None:
    """The planted fault: a list that keeps what should have gone."""
    kept = []
    with LiveBytes() as count:
        for _ in range(3):
            made = torch.zeros(1000)
            kept.append(made)
        del made
        assert count.live == 12_000
        kept.clear()
        assert count.live == 0


def test_restart() -> None:
    with LiveBytes() as count:
        torch.zeros(1000)
        assert (count.live, count.peak) == (0, 4000)
        count.restart()
        torch.zeros(10)
        assert count.peak == 40
