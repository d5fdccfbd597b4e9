"""One rank of a real process group: many random cases, each compared with the oracle bit for bit.

Usage: python -m tests.test_comm.worker RANK NODES GPUS STORE [FAULT]
"""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref import InputError
from dualpipe_ref.comm import connect, reference
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.connect import connected
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing, route
from dualpipe_ref.comm.topology import Topology

CASES = 24
DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def drawn(topology: Topology, number: int) -> tuple[int, list[Tensor], list[Routing]]:
    """The same on every rank: experts, and all ranks' tokens and routings. Some ranks have no token."""
    generator = torch.Generator().manual_seed(number)

    def below(most: int) -> int:
        return int(torch.randint(most, (), generator=generator))

    experts = topology.ranks * (1 + below(3))
    k, hidden, dtype = 1 + below(min(experts, 4)), 1 + below(9), DTYPES[number % 3]
    inputs, routings = [], []
    for _ in range(topology.ranks):
        count = below(12)
        inputs.append(torch.randn(count, hidden, generator=generator).to(dtype))
        scores = torch.rand(count, experts, generator=generator).clamp_min(1e-3)
        routing = route(scores, k)
        empty = torch.rand(count, k, generator=generator) < 0.2
        routings.append(Routing(routing.experts.masked_fill(empty, -1), routing.weights.to(dtype)))
    return experts, inputs, routings


def worked(received: Received, rank: int, held: int) -> Tensor:
    """Experts that differ: each has its own factor, and a square so that gradients depend on the token."""
    factors = torch.where(received.experts >= 0, received.experts + rank * held + 1, 0)
    weight = (received.weights * factors.to(received.weights.dtype)).sum(dim=1, keepdim=True)
    return received.tokens * received.tokens * weight


def with_gradients(one: Tensor) -> Tensor:
    return one.clone().requires_grad_()


def check(topology: Topology, mover: Collective, number: int, fault: str) -> None:
    experts, inputs, routings = drawn(topology, number)
    rank, held = mover.rank, topology.experts_per_rank(experts)
    # All ranks in this process: the oracle, and autograd through it.
    tokens = [with_gradients(one) for one in inputs]
    weights = [with_gradients(one.weights) for one in routings]
    own = [Routing(one.experts, weight) for one, weight in zip(routings, weights, strict=True)]
    oracle = reference.dispatch(tokens, own, topology, experts)
    outputs = [worked(got, place, held) for place, got in enumerate(oracle)]
    sums = reference.combine(outputs, oracle, list(map(len, inputs)), topology)
    sum(one.double().pow(2).sum() for one in sums).backward()

    mine, weight = with_gradients(inputs[rank]), with_gradients(routings[rank].weights)
    buffer = Buffer(topology, experts, mover)
    received, handle = buffer.dispatch(mine, Routing(routings[rank].experts, weight))
    if fault == "lost row" and rank == 0 and len(received.tokens):
        received = received._replace(
            tokens=torch.cat((received.tokens[:-1], received.tokens[:1] * 0 + 9))
        )
    result = buffer.combine(worked(received, rank, held), handle)
    result.double().pow(2).sum().backward()

    for name, got, wanted in [
        *zip(
            Received._fields[:-1], received[:-1], oracle[rank][:-1], strict=True
        ),  # no scales here
        ("sums", result, sums[rank]),
    ]:
        assert torch.equal(got, wanted), f"case {number}, rank {rank}: {name} differ"
    # Gradients: autograd adds a token's copies in an order of its own, so float64 is exact to rounding only.
    close = {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 0.1}[mine.dtype]
    for name, got, wanted in (("tokens", mine, tokens[rank]), ("weights", weight, weights[rank])):
        assert got.grad is not None
        reached = wanted.grad if wanted.grad is not None else torch.zeros_like(wanted)
        assert torch.allclose(got.grad, reached, rtol=close, atol=close), (
            f"case {number}, rank {rank}: {name}"
        )
    again, _ = buffer.dispatch(inputs[rank], routings[rank], handle)
    assert torch.equal(again.tokens, received.tokens) or fault


def check_refusals(topology: Topology, mover: Collective) -> None:
    """One rank's input does not fit, or ranks disagree: all hear of it, and go on."""
    buffer = Buffer(topology, topology.ranks, mover)
    tokens, last = torch.ones(2, 3), mover.rank == mover.ranks - 1
    good = Routing(torch.tensor([[0], [topology.ranks - 1]]), torch.ones(2, 1))
    bad = good._replace(experts=good.experts + topology.ranks)
    for given, told in (
        ((tokens, bad if last else good), f"got {topology.ranks} for token 0"),
        (
            (tokens[:, :2] if last else tokens, good),
            "all ranks have one hidden size; got 3 on rank 0",
        ),
        ((tokens.double() if last else tokens, good), "all ranks have one type of tokens"),
    ):
        with pytest.raises(InputError, match=told):
            buffer.start_dispatch(*given).wait()
    received, handle = buffer.dispatch(tokens, good)
    with pytest.raises(InputError, match="all ranks have one type of outputs"):
        buffer.combine(received.tokens.double() if last else received.tokens, handle)
    sums = buffer.combine(received.tokens, handle)
    assert torch.equal(sums, tokens)


def check_connected(topology: Topology, rank: int) -> None:
    """The version by its name, and arguments in which ranks differ."""
    sizes = {"hidden": 8, "most_tokens": 4, "experts_per_token": 1}
    buffer = connected(None, topology, topology.ranks, version="naive", **sizes)
    tokens = torch.full((1, 8), float(rank))
    routing = Routing(torch.tensor([[(rank + 1) % topology.ranks]]), torch.ones(1, 1))
    received, handle = buffer.dispatch(tokens, routing)
    assert received.source.tolist() == [[(rank - 1) % topology.ranks, 0]]
    assert torch.equal(buffer.combine(received.tokens, handle), tokens)
    last = topology.ranks - 1
    with pytest.raises(
        InputError, match=f"one value of hidden; got 8 on rank 0.*; 16 on rank {last}"
    ):
        connected(None, topology, topology.ranks, **(sizes | {"hidden": 16 if rank == last else 8}))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="kernels run on an NVIDIA GPU"):
            connected(None, topology, topology.ranks, version="queues", **sizes)
        # Where one process lacks what the others have, all hear of it.
        with pytest.MonkeyPatch.context() as patch:
            if rank != last:
                patch.setattr(connect, "require_gpu", lambda: None)
            words = "kernels run on " + ("an NVIDIA" if rank == last else f"all .* rank {last}: ")
            with pytest.raises(InputError, match=words):
                connected(None, topology, topology.ranks, version="queues", **sizes)


def main() -> None:
    rank, nodes, gpus = map(int, sys.argv[1:4])
    torch.set_num_threads(1)
    topology = Topology(nodes, gpus)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{sys.argv[4]}",
        rank=rank,
        world_size=topology.ranks,
        timeout=timedelta(seconds=60),
    )
    fault = sys.argv[5] if len(sys.argv) > 5 else ""
    for number in range(CASES):
        check(topology, Collective(), number, fault)
    for background in () if fault else (False, True):
        check_refusals(topology, Collective(background=background))
        check_connected(topology, rank)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    print(f"{CASES} cases agree")


if __name__ == "__main__":
    main()
