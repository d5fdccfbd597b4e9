"""One of two ranks that share a model's experts, compared with one process that holds them all.

Usage: python -m tests.test_model.worker RANK STORE [FAULT]
"""

from __future__ import annotations

import sys
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage

RANKS = 2
SIZES = ModelConfig(
    vocabulary=11,
    hidden=12,
    layers=2,
    heads=2,
    head_dim=4,
    rotary_dim=2,
    key_value_latent=5,
    experts=6,
    experts_per_token=2,
    expert_hidden=7,
)
# In float64 the two ways differ only in the order in which a token's experts are added.
CLOSE = 1e-12


def batch(rank: int) -> tuple[Tensor, Tensor]:
    both = torch.randint(SIZES.vocabulary, (2, 9), generator=torch.Generator().manual_seed(rank))
    return both[:, :-1], both[:, 1:]


def compare(name: str, got: Tensor | None, wanted: Tensor | None) -> None:
    assert got is not None, name
    assert wanted is not None, name
    assert torch.allclose(got, wanted, rtol=CLOSE, atol=CLOSE), (
        f"{name} differ by {(got - wanted).abs().max()}"
    )


def main() -> None:
    rank, fault = int(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else ""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{sys.argv[2]}",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=60),
    )
    whole = Stage(SIZES, 0, 1, Buffer(Topology(1, 1), SIZES.experts, Alone())).double()
    losses = [whole(*batch(one)) for one in range(RANKS)]
    sum(losses).backward()

    shared = Stage(SIZES, 0, 1, Buffer(Topology(1, RANKS), SIZES.experts, Collective())).double()
    loss = shared(*batch(rank))
    loss.backward()
    compare("losses", loss, losses[rank])
    held, wanted = SIZES.experts // RANKS, dict(whole.named_parameters())
    for name, parameter in shared.named_parameters():
        gradient = parameter.grad
        assert gradient is not None
        if (
            ".held." in name
        ):  # an expert has all of its gradient here: its tokens came from both ranks
            before, number, after = (
                name.partition(".held.")[0],
                *name.partition(".held.")[2].split(".", 1),
            )
            name = f"{before}.held.{int(number) + rank * held}.{after}"
        elif fault != "unsummed":
            torch.distributed.all_reduce(gradient)
        compare(name, gradient, wanted[name].grad)
    loads = [layer.router.load.clone() for layer in shared.layers]
    for ours, layer in zip(loads, whole.layers, strict=True):
        torch.distributed.all_reduce(ours)
        assert torch.equal(ours, layer.router.load)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    print("agree")


if __name__ == "__main__":
    main()
