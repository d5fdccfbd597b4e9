"""What is held more than once is summed after a step: gradients, and the counts of the routers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from dualpipe_ref.model.experts import Experts, Router
from dualpipe_ref.runtime.grid import Over, Place
from dualpipe_ref.schedule import Schedule


def expert_parameters(stage: nn.Module) -> list[nn.Parameter]:
    """Those of the routed experts, of which each lives on one of the ranks that share them."""
    held = [module for module in stage.modules() if isinstance(module, Experts)]
    return [parameter for module in held for parameter in module.parameters()]


def dense_parameters(stage: nn.Module) -> list[nn.Parameter]:
    """All others."""
    experts = {id(parameter) for parameter in expert_parameters(stage)}
    return [parameter for parameter in stage.parameters() if id(parameter) not in experts]


def sum_shared(stages: Sequence[nn.Module], place: Place) -> None:
    """Add up gradients over all ranks that hold the same stage in the same slot.

    The gradient of an expert has come from all tokens of the ranks that share the experts already.
    """
    for stage in stages:
        _sum_gradients(dense_parameters(stage), place, "stage")
        _sum_gradients(expert_parameters(stage), place, "data")


def _sum_gradients(parameters: Sequence[nn.Parameter], place: Place, over: Over) -> None:
    if place.copies(over) == 1 or not parameters:
        return
    row = _flat(parameters)
    place.add(row, over)
    _set_gradients(parameters, row)


def sum_replicas(schedule: Schedule, stages: Sequence[nn.Module], place: Place) -> None:
    """Set each `grad` to the sum over the two directions of a bidirectional schedule, the same bits on both ranks.

    Nothing happens in a schedule of one direction. All ranks of the pipeline call this after a step.
    """
    parameters = [list(stage.parameters()) for stage in stages]
    for slot, row in sum_over_directions(schedule, lambda slot: _flat(parameters[slot]), place):
        _set_gradients(parameters[slot], row)


def sum_over_directions(
    schedule: Schedule, row_of: Callable[[int], Tensor], place: Place
) -> Iterator[tuple[int, Tensor]]:
    """Each slot with its row plus the row of the same stage in the other direction; nothing where there is one direction.

    A row is asked for when its turn comes, so that no more than two of them are there at once.
    """
    placement = schedule.placement
    if placement.directions == 1:
        return
    # All ranks go through the stages of direction 0 in one order: nobody waits for two others in a ring.
    for stage in range(placement.stages):
        holders = [route[stage] for route in placement.routes]
        for direction, (holder, slot) in enumerate(holders):
            if holder == place.pipeline_rank:
                row = row_of(slot)
                row += place.swap(row, holders[1 - direction][0])
                yield slot, row


def balance_routers(
    schedule: Schedule, stages: Sequence[nn.Module], place: Place, speed: float
) -> list[Tensor]:
    """Move each router's bias by the load that all its copies saw in the step, and count anew; the loads, [layers, E] a slot."""
    routers = [[one for one in stage.modules() if isinstance(one, Router)] for stage in stages]
    loads = [_loads(some, stage) for some, stage in zip(routers, stages, strict=True)]
    for load in loads:
        place.add(load, "stage")
    for slot, total in sum_over_directions(schedule, loads.__getitem__, place):
        loads[slot] = total
    for some, load in zip(routers, loads, strict=True):
        for router, row in zip(some, load, strict=True):
            router.balance(row, speed)
    return loads


def _loads(routers: Sequence[Router], stage: nn.Module) -> Tensor:
    if routers:
        return torch.stack([router.load for router in routers])
    return next(stage.parameters()).new_zeros(0, 1, dtype=torch.int64)


def _flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    """All gradients in one row; zeros where there is none."""
    return torch.cat(
        [
            (one.grad if one.grad is not None else torch.zeros_like(one)).flatten()
            for one in parameters
        ]
    )


def _set_gradients(parameters: Sequence[nn.Parameter], row: Tensor) -> None:
    place = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.grad = row[place : place + count].view_as(parameter)
        place += count
