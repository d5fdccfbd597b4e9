"""Which process is which: pipeline ranks, times copies of the pipeline, times ranks that share a stage's experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.distributed
from torch.distributed.device_mesh import init_device_mesh

from dualpipe_ref.schedule import InputError, Schedule

Group: TypeAlias = torch.distributed.ProcessGroup


@dataclass(frozen=True)
class Grid:
    """This process's place, and the groups that it belongs to; made by `make_grid`.

    Processes of one `pipeline` run one schedule together. Those of one `stage` hold the same stages and run the same
    program on tokens of their own; of these, `experts` are those that share the experts, and `data` those that hold the
    same ones. `dense_replicas` and `expert_replicas` hold the same parameters outside and inside of experts: with both
    ends of a bidirectional schedule, which holds every stage twice.
    """

    pipeline_rank: int
    data_rank: int
    expert_rank: int
    pipeline: Group
    data: Group
    experts: Group
    stage: Group
    dense_replicas: Group
    expert_replicas: Group


def make_grid(
    schedule: Schedule, expert_ranks: int = 1, data_ranks: int = 1, device: str = "cpu"
) -> Grid:
    """The grid of all processes: experts are shared by neighbours, then come copies, then pipeline ranks. All call this.

    Raises `InputError` unless there are P x DP x EP processes.
    """
    processes, ranks = torch.distributed.get_world_size(), schedule.ranks
    if ranks * data_ranks * expert_ranks != processes:
        raise InputError(
            "there are as many processes as pipeline ranks x copies x ranks that share experts",
            f"{ranks} x {data_ranks} x {expert_ranks} for {processes} processes",
            f"{ranks * data_ranks * expert_ranks} processes",
        )
    names = ("pipeline", "data", "experts")
    mesh = init_device_mesh(device, (ranks, data_ranks, expert_ranks), mesh_dim_names=names)
    place: torch.Tensor = mesh.mesh  # [P, DP, EP] of process numbers
    return Grid(
        pipeline_rank=mesh.get_local_rank("pipeline"),
        data_rank=mesh.get_local_rank("data"),
        expert_rank=mesh.get_local_rank("experts"),
        pipeline=mesh.get_group("pipeline"),
        data=mesh.get_group("data"),
        experts=mesh.get_group("experts"),
        stage=mesh["data", "experts"]._flatten("stage").get_group(),
        dense_replicas=_own(_replicas(schedule, place.flatten(1).unsqueeze(2))),
        expert_replicas=_own(_replicas(schedule, place)),
    )


def _replicas(schedule: Schedule, processes: torch.Tensor) -> list[list[int]]:
    """Lists of the processes that hold the same parameters, those of `processes` [P, copies, different]."""
    if schedule.placement.directions == 2:  # rank r holds what rank P - 1 - r holds
        half = schedule.ranks // 2
        processes = torch.cat((processes[:half], processes.flip(0)[:half]), dim=1)
    return [sorted(column) for rank in processes for column in rank.t().tolist()]


def _own(lists: Sequence[Sequence[int]]) -> Group:
    """The group of this process; all processes make all groups, in one order."""
    rank = torch.distributed.get_rank()
    groups = [torch.distributed.new_group(list(one)) for one in lists]
    return next(group for group, one in zip(groups, lists, strict=True) if rank in one)
