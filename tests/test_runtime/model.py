"""The model of the equivalence tests, its data, and the unparallel run that everything is compared with."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone, Mover
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.model.experts import Router
from dualpipe_ref.runtime.stages import Feed

STEPS = 3
SEQUENCES, TOKENS = 1, 6
SPEED = 0.01  # of the routers' biases
# A gradient that is off by d moves AdamW by at most rate * d / epsilon a step, whatever its size.
ADAMW = {"lr": 1e-3, "eps": 1e-4, "weight_decay": 0.01}


def sizes(layers: int) -> ModelConfig:
    return ModelConfig(
        vocabulary=11,
        hidden=12,
        layers=layers,
        heads=2,
        head_dim=4,
        rotary_dim=2,
        key_value_latent=5,
        experts=4,
        experts_per_token=2,
        expert_hidden=7,
    )


def stage_of(layers: int, number: int, stages: int, mover: Mover) -> Stage:
    config = sizes(layers)
    buffer = Buffer(Topology(1, mover.ranks), config.experts, mover)
    return Stage(config, number, stages, buffer).double()


def feeds(directions: int, microbatches: int, step: int, expert_rank: int) -> tuple[Feed, Feed]:
    """Inputs and targets of each direction's micro-batches; every process can make those of all others."""
    generator = torch.Generator().manual_seed(10_000 * step + 100 * microbatches + expert_rank)
    inputs, targets = {}, {}
    for direction in range(directions):
        for microbatch in range(microbatches // directions):
            both = torch.randint(11, (SEQUENCES, TOKENS + 1), generator=generator)
            inputs[direction, microbatch] = both[:, :-1]
            targets[direction, microbatch] = both[:, 1:]
    return inputs, targets


def random_state() -> str:
    return hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()


def unparallel(
    layers: int, directions: int, microbatches: int, expert_ranks: int
) -> dict[str, Any]:
    """STEPS steps of the whole model in one process, one micro-batch after another.

    Losses by step and expert rank; loads of the routers by step; and at the end all parameters and buffers.
    """
    torch.manual_seed(7)
    model = stage_of(layers, 0, 1, Alone())
    decayed = [one for one in model.parameters() if one.dim() > 1]
    others = [one for one in model.parameters() if one.dim() <= 1]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, foreach=False, **ADAMW)
    routers = [one for one in model.modules() if isinstance(one, Router)]
    losses: list[list[dict[tuple[int, int], Tensor]]] = []
    loads = []
    for step in range(STEPS):
        losses.append([{} for _ in range(expert_ranks)])
        sums: list[list[Tensor | None]] = []
        for direction in range(directions):
            model.zero_grad(set_to_none=True)
            for expert_rank in range(expert_ranks):
                inputs, targets = feeds(directions, microbatches, step, expert_rank)
                for microbatch in range(microbatches // directions):
                    key = direction, microbatch
                    loss = model(inputs[key], targets[key])
                    loss.backward(torch.full_like(loss, 1 / (microbatches * expert_ranks)))
                    losses[-1][expert_rank][key] = loss.detach()
            sums.append([one.grad for one in model.parameters()])
        for parameter, *gradients in zip(model.parameters(), *sums, strict=True):
            parameter.grad = sum(gradients[1:], gradients[0])
        loads.append(torch.stack([router.load for router in routers]))
        for router in routers:
            router.balance(router.load.clone(), SPEED)
        optimizer.step()
    return {
        "losses": losses,
        "loads": loads,
        "state": dict(model.state_dict()),
        "random": random_state(),
    }
