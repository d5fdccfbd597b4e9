"""One rank that runs many schedules and compares losses and gradients with the unparallel run, bit for bit.

Usage: python -m tests.test_runtime.worker RANK RANKS STORE [FAULT]
"""

from __future__ import annotations

import sys
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.executor import Executor
from dualpipe_ref.runtime.point_to_point import PointToPoint
from dualpipe_ref.runtime.replicas import sum_replicas
from dualpipe_ref.schedule import KINDS, Message, Schedule, build

SIZES = ModelConfig(
    vocabulary=11,
    hidden=12,
    layers=8,
    heads=2,
    head_dim=4,
    rotary_dim=2,
    key_value_latent=5,
    experts=4,
    experts_per_token=2,
    expert_hidden=7,
)
SEQUENCES, TOKENS = 1, 6


def stage_of(number: int, stages: int) -> Stage:
    return Stage(SIZES, number, stages, Buffer(Topology(1, 1), SIZES.experts, Alone()))


def feeds(
    schedule: Schedule,
) -> tuple[dict[tuple[int, int], Tensor], dict[tuple[int, int], Tensor]]:
    """The same tokens on every rank: inputs and targets of each direction's micro-batches."""
    generator = torch.Generator().manual_seed(schedule.microbatches)
    inputs, targets = {}, {}
    for direction in range(schedule.placement.directions):
        for microbatch in range(schedule.microbatches_per_direction):
            both = torch.randint(SIZES.vocabulary, (SEQUENCES, TOKENS + 1), generator=generator)
            inputs[direction, microbatch] = both[:, :-1]
            targets[direction, microbatch] = both[:, 1:]
    return inputs, targets


def unparallel(schedule: Schedule) -> tuple[dict[tuple[int, int], Tensor], dict[str, Tensor]]:
    """Losses and gradients of the whole model in one process, micro-batch after micro-batch."""
    inputs, targets = feeds(schedule)
    losses: dict[tuple[int, int], Tensor] = {}
    sums: list[dict[str, Tensor]] = []
    for direction in range(schedule.placement.directions):
        model = stage_of(0, 1)
        for microbatch in range(schedule.microbatches_per_direction):
            loss = model(inputs[direction, microbatch], targets[direction, microbatch])
            loss.backward(torch.full_like(loss, 1 / schedule.microbatches))
            losses[direction, microbatch] = loss.detach()
        sums.append(
            {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        )
    whole = sums[0]
    for more in sums[1:]:
        whole = {name: whole[name] + more[name] for name in whole}
    return losses, whole


class Faulty(PointToPoint):
    """Gives one message the content of nothing."""

    def run(self, messages, give, take):  # type: ignore[no-untyped-def]
        def forged(message: Message) -> Tensor:
            values = give(message)
            return (
                torch.zeros_like(values)
                if (message.microbatch, message.stage) == (1, 1)
                else values
            )

        super().run(messages, forged, take)


def check(kind: str, rank: int, ranks: int, fault: str) -> None:
    schedule = build(kind, ranks, 2 * ranks)
    placement = schedule.placement
    losses, wanted = unparallel(schedule)
    stages = [stage_of(stage, placement.stages) for _, stage in placement.homes[rank]]
    shape = (SEQUENCES, TOKENS, SIZES.hidden)
    wires = (Faulty if fault == "message" else PointToPoint)(shape, torch.float32)
    got = Executor(schedule, rank, stages, wires).step(*feeds(schedule))
    for key, loss in got.items():
        assert torch.equal(loss, losses[key]), f"{kind}, rank {rank}: loss of {key} differs"
    if fault != "replicas":
        sum_replicas(schedule, rank, stages)
    least, more = divmod(SIZES.layers, placement.stages)
    for stage, (_, number) in zip(stages, placement.homes[rank], strict=True):
        first = number * least + min(number, more)
        for name, parameter in stage.named_parameters():
            if name.startswith("layers."):
                _, layer, rest = name.split(".", 2)
                name = f"layers.{first + int(layer)}.{rest}"
            if name not in wanted:
                assert parameter.grad is None or not parameter.grad.any()
                continue
            assert parameter.grad is not None, f"{kind}, rank {rank}: {name} has no gradient"
            assert torch.equal(parameter.grad, wanted[name]), f"{kind}, rank {rank}: {name} differs"


def main() -> None:
    rank, ranks = map(int, sys.argv[1:3])
    fault = sys.argv[4] if len(sys.argv) > 4 else ""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{sys.argv[3]}",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=60),
    )
    for kind in KINDS:
        check(kind, rank, ranks, fault)
        torch.distributed.barrier()
        print(kind, "agrees")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
