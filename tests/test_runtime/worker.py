"""One process that runs many schedules and compares losses and gradients with the unparallel run.

Bit for bit where each process has all experts; where two share them, a token's experts are added up in another order,
and in float64 the difference stays below a few times its rounding.

Usage: python -m tests.test_runtime.worker PROCESS RANKS EXPERT_RANKS STORE [FAULT]
"""

from __future__ import annotations

import sys
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.mover import Alone, Mover
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage, layers_of_stages
from dualpipe_ref.runtime.executor import Executor, Feed
from dualpipe_ref.runtime.grid import Grid, make_grid, sum_shared
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


CLOSE = 1e-12


def stage_of(number: int, stages: int, mover: Mover) -> Stage:
    buffer = Buffer(Topology(1, mover.ranks), SIZES.experts, mover)
    return Stage(SIZES, number, stages, buffer).double()


def feeds(schedule: Schedule, expert_rank: int) -> tuple[Feed, Feed]:
    """Inputs and targets of each direction's micro-batches; every process can make those of all others."""
    generator = torch.Generator().manual_seed(100 * schedule.microbatches + expert_rank)
    inputs, targets = {}, {}
    for direction in range(schedule.placement.directions):
        for microbatch in range(schedule.microbatches_per_direction):
            both = torch.randint(SIZES.vocabulary, (SEQUENCES, TOKENS + 1), generator=generator)
            inputs[direction, microbatch] = both[:, :-1]
            targets[direction, microbatch] = both[:, 1:]
    return inputs, targets


def unparallel(
    schedule: Schedule, expert_ranks: int
) -> tuple[list[dict[tuple[int, int], Tensor]], dict[str, Tensor]]:
    """Losses, by expert rank, and gradients of the whole model in one process, micro-batch after micro-batch."""
    losses: list[dict[tuple[int, int], Tensor]] = [{} for _ in range(expert_ranks)]
    sums: list[dict[str, Tensor]] = []
    for direction in range(schedule.placement.directions):
        model = stage_of(0, 1, Alone())
        for expert_rank in range(expert_ranks):
            inputs, targets = feeds(schedule, expert_rank)
            for microbatch in range(schedule.microbatches_per_direction):
                loss = model(inputs[direction, microbatch], targets[direction, microbatch])
                loss.backward(torch.full_like(loss, 1 / schedule.microbatches))
                losses[expert_rank][direction, microbatch] = loss.detach()
        sums.append(
            {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        )
    whole = sums[0]
    for more in sums[1:]:
        whole = {name: whole[name] + more[name] for name in whole}
    return losses, whole


def agree(got: Tensor, wanted: Tensor, is_exact: bool) -> bool:
    return torch.equal(got, wanted) if is_exact else torch.allclose(got, wanted, CLOSE, CLOSE)


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


def name_in_whole(name: str, first: int, held: int) -> str:
    """The name that a stage's parameter has in the whole model; `held` is the first expert here."""
    if name.startswith("layers."):
        _, layer, rest = name.split(".", 2)
        name = f"layers.{first + int(layer)}.{rest}"
    before, mark, after = name.partition(".held.")
    if mark:
        number, rest = after.split(".", 1)
        name = f"{before}{mark}{held + int(number)}.{rest}"
    return name


def check(kind: str, grid: Grid, ranks: int, expert_ranks: int, fault: str) -> None:
    schedule = build(kind, ranks, 2 * ranks)
    placement, rank = schedule.placement, grid.pipeline_rank
    losses, wanted = unparallel(schedule, expert_ranks)
    mover: Mover = Alone() if expert_ranks == 1 else Collective(grid.experts)
    stages = [stage_of(stage, placement.stages, mover) for _, stage in placement.homes[rank]]
    shape = (SEQUENCES, TOKENS, SIZES.hidden)
    wires = (Faulty if fault == "message" else PointToPoint)(shape, torch.float64, grid.pipeline)
    got = Executor(schedule, rank, stages, wires).step(*feeds(schedule, grid.expert_rank))
    is_exact = expert_ranks == 1
    for key, loss in got.items():
        right = losses[grid.expert_rank][key]
        assert agree(loss, right, is_exact), f"{kind}, rank {rank}: loss of {key} differs"
    if fault != "replicas":
        sum_replicas(schedule, rank, stages, grid.pipeline)
    if fault != "shared":
        sum_shared(stages, grid)
    held = grid.expert_rank * (SIZES.experts // expert_ranks)
    cut = layers_of_stages(SIZES.layers, placement.stages)
    for stage, (_, number) in zip(stages, placement.homes[rank], strict=True):
        for name, parameter in stage.named_parameters():
            whole = name_in_whole(name, cut[number][0], held)
            if whole not in wanted:
                assert parameter.grad is None or not parameter.grad.any()
                continue
            assert parameter.grad is not None, f"{kind}, rank {rank}: {whole} has no gradient"
            right = wanted[whole]
            assert agree(parameter.grad, right, is_exact), f"{kind}, rank {rank}: {whole} differs"


def main() -> None:
    process, ranks, expert_ranks = map(int, sys.argv[1:4])
    fault = sys.argv[5] if len(sys.argv) > 5 else ""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{sys.argv[4]}",
        rank=process,
        world_size=ranks * expert_ranks,
        timeout=timedelta(seconds=60),
    )
    grid = make_grid(ranks, expert_ranks)
    for kind in KINDS:
        check(kind, grid, ranks, expert_ranks, fault)
        torch.distributed.barrier()
        print(kind, "agrees")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
