"""What every version of the all-to-all must do behind `Buffer`, over generated cases, compared with the oracle bit by bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm import reference
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.gradients import Combined
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.together import run_ranks
from dualpipe_ref.comm.topology import Topology

from .cases import Case, cases
from .versions import NAIVE, VERSIONS, Version, buffers
from .worker import with_gradients, worked

every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
# Autograd adds a token's copies in an order of its own; float64 is exact to rounding only.
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 0.1}


class Ran(NamedTuple):
    """What one rank saw of a dispatch and its combine, forward and backward."""

    received: Received
    sums: Tensor
    weights: Tensor
    token_gradients: Tensor | None
    weight_gradients: Tensor | None


def ran(case: Case, buffer: Buffer, rank: int) -> Ran:
    tokens, weights = with_gradients(case.inputs[rank]), with_gradients(case.routings[rank].weights)
    routing = Routing(case.routings[rank].experts, weights)
    received, handle = buffer.dispatch(tokens, routing)
    outputs = worked(received, rank, buffer.experts_here)
    sums = buffer.combine(outputs, handle)
    again, same = buffer.dispatch(
        tokens.detach(), Routing(routing.experts, weights.detach()), handle
    )
    assert same is handle
    assert same_received(again, received)
    both, back = buffer.combine(outputs, handle, received.weights)
    assert torch.equal(both, sums)
    (sums.double().pow(2).sum() + both.double().sum() + 3 * back.double().sum()).backward()
    return Ran(received, sums, back, tokens.grad, weights.grad)


def in_one_process(case: Case, version: Version) -> list[Ran]:
    """The same by the oracle, with autograd through all ranks at once."""
    tokens = [with_gradients(one) for one in case.inputs]
    weights = [with_gradients(one.weights) for one in case.routings]
    routings = [
        Routing(one.experts, weight) for one, weight in zip(case.routings, weights, strict=True)
    ]
    received = reference.dispatch(tokens, routings, case.topology, case.experts)
    held, counts = case.topology.experts_per_rank(case.experts), list(map(len, tokens))
    outputs = [worked(got, rank, held) for rank, got in enumerate(received)]
    sums = reference.combine(outputs, received, counts, case.topology, version.order)
    back = [weight * (one.experts >= 0) for weight, one in zip(weights, routings, strict=True)]
    loss = sum(
        one.double().pow(2).sum() + one.double().sum() + 3 * weight.double().sum()
        for one, weight in zip(sums, back, strict=True)
    )
    if loss.requires_grad:
        loss.backward()
    return [
        Ran(*both, token.grad, weight.grad)
        for *both, token, weight in zip(received, sums, back, tokens, weights, strict=True)
    ]


def same_received(one: Received, other: Received) -> bool:
    return all(
        (got is None and wanted is None) or torch.equal(got, wanted)
        for got, wanted in zip(one, other, strict=True)
    )


def close(got: Tensor | None, wanted: Tensor | None) -> bool:
    if got is None:
        return False
    wanted = torch.zeros_like(got) if wanted is None else wanted
    tolerance = CLOSE[got.dtype]
    return torch.allclose(
        got,
        wanted,
        rtol=tolerance,
        atol=tolerance * float(wanted.abs().max() if wanted.numel() else 1),
    )


def check(case: Case, version: Version) -> None:
    ends, meetings = buffers(version, case)
    found = run_ranks(
        lambda rank: ran(case, ends[rank], rank), case.topology.ranks, meetings=meetings
    )
    for rank, (got, wanted) in enumerate(zip(found, in_one_process(case, version), strict=True)):
        assert same_received(got.received, wanted.received), f"rank {rank} received"
        assert torch.equal(got.sums, wanted.sums), f"sums of rank {rank}"
        assert torch.equal(got.weights, wanted.weights), f"weights of rank {rank}"
        assert close(got.token_gradients, wanted.token_gradients), f"gradients of rank {rank}"
        assert close(got.weight_gradients, wanted.weight_gradients), f"of weights of rank {rank}"


@every_version
def test_every_version_gives_what_the_oracle_gives(version: Version) -> None:
    @settings(max_examples=version.examples, deadline=None, database=None)
    @given(st.data())
    def over_cases(data: st.DataObject) -> None:
        dtype = data.draw(st.sampled_from(version.dtypes))
        check(data.draw(cases(dtype, version.hidden_sizes, version.most_gpus)), version)

    over_cases()


def case_of(topology: Topology, chosen: list[list[list[int]]], experts: int) -> Case:
    """A case with these experts for each rank's tokens."""
    draw = torch.Generator().manual_seed(1)
    routings = []
    for table in chosen:
        places = torch.tensor(table, dtype=torch.int64).reshape(len(table), -1 if table else 2)
        routings.append(Routing(places, torch.rand(places.shape, generator=draw)))
    inputs = [torch.randn(len(table), 8, generator=draw) for table in chosen]
    return Case(topology, experts, inputs, routings)


EXTREMES = {
    "one rank": case_of(Topology(1, 1), [[[0, 1], [1, -1]]], 2),
    "no token anywhere": case_of(Topology(2, 2), [[], [], [], []], 4),
    "all to one expert": case_of(Topology(2, 2), [[[3, -1]] * 3] * 4, 4),
    "every place empty": case_of(Topology(2, 1), [[[-1, -1]] * 2] * 2, 4),
    "one rank has tokens": case_of(Topology(2, 2), [[], [], [[0, 3], [1, 2], [3, 0]], []], 4),
    "one GPU a node": case_of(Topology(3, 1), [[[0, 1], [2, 5]], [[4, 3]], [[2, 0]]], 6),
}


@every_version
@pytest.mark.parametrize("name", EXTREMES)
def test_extremes(version: Version, name: str) -> None:
    check(EXTREMES[name], version)


@every_version
def test_a_row_that_is_wrong_is_seen(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: one number of one rank's output is another one."""
    right = worked

    def wrong(received: Received, rank: int, held: int) -> Tensor:
        made = right(received, rank, held)
        return made + torch.eye(*made.shape) if rank == 1 else made

    case = EXTREMES["one rank has tokens"]
    wanted = in_one_process(case, version)
    monkeypatch.setattr("tests.test_comm.test_versions.worked", wrong)
    monkeypatch.setattr("tests.test_comm.test_versions.in_one_process", lambda *_: wanted)
    with pytest.raises(AssertionError, match="sums of rank 2"):
        check(case, version)


@every_version
def test_a_gradient_that_is_wrong_is_seen(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a combine's backward hands on a gradient that is a hundredth too large, or forgets the weights."""
    right = Combined.backward
    case = EXTREMES["one rank has tokens"]
    for factors, told in (
        ((1.01, 1.0), "^gradients of rank 2"),
        ((1.0, 0.0), "^of weights of rank 2"),
    ):

        def wrong(
            ctx: Any, gradient: Tensor, weights: Tensor | None, factors: Any = factors
        ) -> Any:
            grown = None if weights is None else weights * factors[1]
            return right(ctx, gradient * factors[0], grown)

        monkeypatch.setattr(Combined, "backward", staticmethod(wrong))
        with pytest.raises(AssertionError, match=told):
            check(case, version)


def test_gradients_are_slopes() -> None:
    """Naive, in float64, two nodes of two: every gradient against the difference of the sum of all ranks' losses."""
    case = case_of(Topology(2, 2), [[[0, 3], [1, 2]], [[3, -1]], [], [[2, 0], [0, 1]]], 4)
    case = case._replace(
        inputs=[one[:, :2].double() for one in case.inputs],
        routings=[Routing(one.experts, one.weights.double()) for one in case.routings],
    )

    def loss(inputs: list[Tensor], weights: list[Tensor]) -> tuple[float, list[Ran]]:
        routings = [
            Routing(one.experts, two) for one, two in zip(case.routings, weights, strict=True)
        ]
        moved = case._replace(inputs=inputs, routings=routings)
        ends, _ = buffers(NAIVE, moved)
        found = run_ranks(lambda rank: ran(moved, ends[rank], rank), 4)
        total = sum(
            float((one.sums.pow(2).sum() + one.sums.sum() + 3 * one.weights.sum()).detach())
            for one in found
        )
        return total, found

    inputs, weights = case.inputs, [one.weights for one in case.routings]
    _, found = loss(inputs, weights)
    step = 1e-6
    for values, gradients in (
        (inputs, [one.token_gradients for one in found]),
        (weights, [one.weight_gradients for one in found]),
    ):
        for one, gradient in zip(values, gradients, strict=True):
            assert gradient is not None
            for place in range(one.numel()):
                flat, before = one.view(-1), float(one.view(-1)[place])
                flat[place] = before + step
                up, _ = loss(inputs, weights)
                flat[place] = before - step
                down, _ = loss(inputs, weights)
                flat[place] = before
                slope = (up - down) / (2 * step)
                assert abs(slope - float(gradient.view(-1)[place])) < 1e-5 * max(1, abs(slope))
