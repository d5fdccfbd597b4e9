"""Which process is which: pipeline ranks times ranks that share the experts of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from dualpipe_ref.model.experts import Experts
from dualpipe_ref.schedule import InputError


@dataclass(frozen=True)
class Grid:
    """This process's place, and the groups that it belongs to; made by `make_grid`.

    Processes of one pipeline have the same `expert_rank`; those of one `pipeline_rank` hold the same stages, run the
    same program on tokens of their own, and share the experts.
    """

    pipeline_rank: int
    expert_rank: int
    pipeline: torch.distributed.ProcessGroup
    experts: torch.distributed.ProcessGroup


def make_grid(pipeline_ranks: int, expert_ranks: int = 1, device: str = "cpu") -> Grid:
    """The grid of all processes, in which those that share experts are neighbours. All processes call this.

    Raises `InputError` unless there are P x EP processes.
    """
    processes = torch.distributed.get_world_size()
    if pipeline_ranks * expert_ranks != processes:
        raise InputError(
            "there are as many processes as pipeline ranks times expert ranks",
            f"{pipeline_ranks} x {expert_ranks} for {processes} processes",
            f"{processes // expert_ranks} x {expert_ranks}",
        )
    mesh = init_device_mesh(
        device, (pipeline_ranks, expert_ranks), mesh_dim_names=("pipeline", "experts")
    )
    return Grid(
        mesh.get_local_rank("pipeline"),
        mesh.get_local_rank("experts"),
        mesh.get_group("pipeline"),
        mesh.get_group("experts"),
    )


def sum_shared(stages: Sequence[nn.Module], grid: Grid) -> None:
    """Add up, over the processes that share experts, the gradients of all that each of them holds.

    An expert lives on one of them alone: its gradient has come from all tokens already.
    """
    for stage in stages:
        own = {
            id(parameter)
            for module in stage.modules()
            if isinstance(module, Experts)
            for parameter in module.parameters()
        }
        for parameter in stage.parameters():
            if id(parameter) not in own and parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad, group=grid.experts)
