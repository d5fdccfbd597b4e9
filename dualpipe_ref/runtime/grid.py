"""Which process is which: pipeline ranks, times copies of the pipeline, times ranks that share a stage's experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from dualpipe_ref.schedule import InputError, Schedule

Group: TypeAlias = torch.distributed.ProcessGroup
# Who holds the same: a stage in the same slot, or the same experts of it too.
Over = Literal["stage", "data"]


class Place(Protocol):
    """A rank among all of a step, each of which may be a process (`Grid`) or a thread (`post.Posted`).

    What its methods do, all ranks that it names do together.
    """

    @property
    def pipeline_rank(self) -> int: ...

    def copies(self, over: Over) -> int:
        """How many ranks hold the same, this one among them."""
        ...

    def add(self, row: Tensor, over: Over) -> None:
        """`row` becomes the sum of those of all copies, the same bits on each of them."""
        ...

    def swap(self, row: Tensor, peer: int) -> Tensor:
        """What pipeline rank `peer` gives for this row; one of the same shape."""
        ...

    def tell(self, value: Any) -> list[Any]:
        """The values of all ranks of this pipeline, in their order."""
        ...


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

    def copies(self, over: Over) -> int:
        return int(torch.distributed.get_world_size(self._group(over)))

    def add(self, row: Tensor, over: Over) -> None:
        torch.distributed.all_reduce(row, group=self._group(over))

    def swap(self, row: Tensor, peer: int) -> Tensor:
        got, group = torch.empty_like(row), self.pipeline
        works = torch.distributed.batch_isend_irecv(
            [
                torch.distributed.P2POp(torch.distributed.isend, row, group=group, group_peer=peer),
                torch.distributed.P2POp(torch.distributed.irecv, got, group=group, group_peer=peer),
            ]
        )
        for work in works:
            work.wait()
        return got

    def tell(self, value: Any) -> list[Any]:
        everywhere: list[Any] = [None] * torch.distributed.get_world_size(self.pipeline)
        torch.distributed.all_gather_object(everywhere, value, self.pipeline)
        return everywhere

    def _group(self, over: Over) -> Group:
        return self.stage if over == "stage" else self.data


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
