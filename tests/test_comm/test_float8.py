"""FP8 with scales: how far numbers are off, for all numbers that there are, and the trip of such tokens through `Buffer`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm import reference
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.float8 import BLOCK, FLOAT8, from_float8, to_float8
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.together import run_ranks
from dualpipe_ref.comm.topology import Topology

from .cases import Case
from .versions import VERSIONS, Version, buffers


@st.composite
def tokens(draw: st.DrawFn, special: bool = False) -> Tensor:
    """Rows whose blocks have sizes of their own, from below the smallest numbers of float32 to close to its largest."""
    count, hidden = draw(st.integers(0, 4)), draw(st.sampled_from([1, 7, 128, 129, 384]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    values = torch.randn(count, hidden, generator=generator)
    values *= torch.rand(count, hidden, generator=generator) ** draw(st.sampled_from([0, 1, 9]))
    exponents = draw(st.lists(st.integers(-150, 124), min_size=3, max_size=3))
    sizes = torch.tensor(exponents).repeat_interleave(BLOCK)[:hidden]
    values = torch.ldexp(values, sizes).clamp(-3e38, 3e38)
    if draw(st.booleans()) and count:
        values[draw(st.integers(0, count - 1))] = 0
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
    return values.to(dtype)


@settings(max_examples=300, deadline=None)
@given(tokens())
def test_a_number_is_off_by_no_more_than_is_said(given: Tensor) -> None:
    values, scales = to_float8(given)
    assert values.dtype == FLOAT8
    assert values.shape == given.shape
    assert scales.dtype == torch.float32
    assert scales.shape == (len(given), -(-given.shape[1] // BLOCK))
    back = from_float8(values, scales, torch.float64)
    by_number = scales.double().repeat_interleave(BLOCK, dim=1)[:, : given.shape[1]]
    allowed = torch.maximum(given.double().abs() / 16, by_number / 1024)
    # One part in 2^22 for the division and the product, which float32 rounds.
    assert bool(((back - given.double()).abs() <= allowed * (1 + 2**-22)).all())
    assert bool((back[given == 0] == 0).all())


def test_the_bound_is_reached() -> None:
    """The planted fault would be a bound that nothing comes near."""
    given = torch.linspace(1, 448, 100_000).view(-1, 1).repeat(1, 2)
    given[:, 1] = 448  # the scale is 1
    back = from_float8(*to_float8(given), torch.float32)
    worst = ((back - given).abs() / given).max()
    assert 0.058 < float(worst) <= 1 / 16


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_a_block_that_is_lost_is_seen(bad: float) -> None:
    given = torch.ones(2, 3 * BLOCK)
    given[1, BLOCK + 3] = bad
    back = from_float8(*to_float8(given))
    assert bool(back[1, BLOCK : 2 * BLOCK].isnan().all())
    back[1, BLOCK : 2 * BLOCK] = 1
    assert torch.equal(back, torch.ones_like(back))


def test_zeros_have_a_scale_and_come_back() -> None:
    values, scales = to_float8(torch.zeros(2, 2 * BLOCK))
    assert bool((scales > 0).all())
    assert torch.equal(from_float8(values, scales), torch.zeros(2, 2 * BLOCK, dtype=torch.bfloat16))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="floating point"):
        to_float8(torch.ones(2, 2, dtype=torch.int64))
    values, scales = to_float8(torch.ones(2, 2 * BLOCK))
    with pytest.raises(InputError, match=r"got \(2, 1\); nearest legal: \(2, 2\)"):
        from_float8(values, scales[:, :1])


def case() -> Case:
    """Two nodes of two GPUs, four experts, rows of two and a half blocks."""
    draw = torch.Generator().manual_seed(3)
    inputs = [torch.randn(count, 320, generator=draw).bfloat16() for count in (3, 0, 5, 2)]
    routings = []
    for one in inputs:
        experts = torch.rand(len(one), 4, generator=draw).argsort(dim=1)[:, :2]
        routings.append(Routing(experts, torch.rand(len(one), 2, generator=draw)))
    return Case(Topology(2, 2), 4, inputs, routings)


every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@every_version
def test_tokens_travel_with_their_scales(version: Version) -> None:
    given = case()
    packed = [to_float8(one) for one in given.inputs]
    ends, meetings = buffers(version, given)

    def through(rank: int) -> tuple[Received, Tensor, Tensor]:
        weights = given.routings[rank].weights.clone().requires_grad_()
        routing = given.routings[rank]._replace(weights=weights)
        received, handle = ends[rank].dispatch(packed[rank], routing)
        assert received.scales is not None
        assert not received.tokens.requires_grad
        opened = from_float8(received.tokens, received.scales)
        sums = ends[rank].combine(opened, handle)
        (received.weights * (received.experts + 2)).sum().backward()
        assert weights.grad is not None
        return received, sums, weights.grad

    found = run_ranks(through, 4, meetings=meetings)
    values, scales = [one[0] for one in packed], [one[1] for one in packed]
    oracle = reference.dispatch(values, given.routings, given.topology, 4, scales)
    opened = [from_float8(one.tokens, one.scales) for one in oracle if one.scales is not None]
    wanted = reference.combine(opened, oracle, [3, 0, 5, 2], given.topology, version.order)
    for (received, sums, gradient), one, total in zip(found, oracle, wanted, strict=True):
        for got, want in zip(received, one, strict=True):
            assert isinstance(got, Tensor)
            assert torch.equal(got.float(), want.float())
        assert received.tokens.dtype == FLOAT8
        assert torch.equal(sums, total)
        assert torch.equal(gradient, torch.full_like(gradient, 2))  # one expert a rank: number 0


@every_version
def test_a_trip_in_float8_is_rounded_and_its_gradients_are_not(version: Version) -> None:
    given = case()
    draw = torch.Generator().manual_seed(4)
    factors = torch.rand(40, 320, generator=draw).bfloat16()

    def through(ends: list[Buffer], rank: int, float8: bool) -> tuple[Received, Tensor]:
        tokens = given.inputs[rank].clone().requires_grad_()
        received, _ = ends[rank].dispatch(tokens, given.routings[rank], float8=float8)
        (received.tokens * factors[: len(received.tokens)]).sum().backward()
        assert tokens.grad is not None
        return received, tokens.grad

    for_plain, _ = buffers(version, given)
    for_float8, meetings = buffers(version, given)
    plain = run_ranks(lambda rank: through(for_plain, rank, False), 4)
    rounded = run_ranks(lambda rank: through(for_float8, rank, True), 4, meetings=meetings)
    for (got, gradient), (exact, wanted) in zip(rounded, plain, strict=True):
        assert got.scales is None
        assert got.tokens.dtype == torch.bfloat16
        assert torch.equal(got.tokens, from_float8(*to_float8(exact.tokens.detach())))
        assert got.tokens.numel() == 0 or not torch.equal(got.tokens, exact.tokens)
        assert torch.equal(gradient, wanted)
        assert gradient.dtype == torch.bfloat16
