"""Where a schedule holds every stage twice, the gradients of both copies are added up, on both ranks alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed
from torch import Tensor, nn

from dualpipe_ref.schedule import Schedule


def sum_replicas(
    schedule: Schedule,
    rank: int,
    stages: Sequence[nn.Module],
    group: torch.distributed.ProcessGroup | None = None,
) -> None:
    """Set each parameter's `grad` to the sum over directions, in their order, so that both copies get the same bits.

    Nothing happens in a schedule of one direction. All ranks call this after a step.
    """
    placement = schedule.placement
    if placement.directions == 1:
        return
    # All ranks go through the stages of direction 0 in one order: nobody waits for two others in a ring.
    for stage in range(placement.stages):
        holders = [route[stage] for route in placement.routes]
        for direction, (holder, slot) in enumerate(holders):
            if holder == rank:
                other = holders[1 - direction][0]
                _add_from(other, direction, stages[slot], group)


def _add_from(
    other: int, direction: int, stage: nn.Module, group: torch.distributed.ProcessGroup | None
) -> None:
    own = _flat(stage)
    got = torch.empty_like(own)
    peer = other if group is None else torch.distributed.get_global_rank(group, other)
    works = torch.distributed.batch_isend_irecv(
        [
            torch.distributed.P2POp(torch.distributed.isend, own, peer, group),
            torch.distributed.P2POp(torch.distributed.irecv, got, peer, group),
        ]
    )
    for work in works:
        work.wait()
    total = own + got if direction == 0 else got + own
    place = 0
    for parameter in stage.parameters():
        count = parameter.numel()
        parameter.grad = total[place : place + count].view_as(parameter)
        place += count


def _flat(stage: nn.Module) -> Tensor:
    """All gradients of a stage in one row; zeros where there is none."""
    return torch.cat(
        [
            (one.grad if one.grad is not None else torch.zeros_like(one)).flatten()
            for one in stage.parameters()
        ]
    )
