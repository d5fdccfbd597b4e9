"""AdamW whose states are shared out among the processes that hold the same parameters (ZeRO stage 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer

from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.runtime.sharing import dense_parameters, expert_parameters


class ShardedAdamW:
    """torch's ZeroRedundancyOptimizer over AdamW: once for the dense parameters, once for the experts.

    Each process keeps the states of its share, steps that, and sends what it stepped to the others. An update is made
    number by number, so it is that of an AdamW that holds everything, bit for bit. All processes make it and step together.
    """

    def __init__(self, pipeline: Pipeline, **options: Any) -> None:
        # Both ends of a bidirectional schedule hold the same stages in other slots: stages are put in their own order.
        order = sorted(range(len(pipeline.stages)), key=lambda slot: pipeline.homes[slot][1])
        stages = [pipeline.stages[slot] for slot in order]
        kinds = (
            (dense_parameters, pipeline.grid.dense_replicas),
            (expert_parameters, pipeline.grid.expert_replicas),
        )
        self.parts = []
        for parameters_of, group in kinds:
            parameters = [one for stage in stages for one in parameters_of(stage)]
            if parameters:
                self.parts.append(_sharded(parameters, group, options))

    def step(self) -> None:
        """Update all parameters by their `grad`."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def set_learning_rate(self, rate: float) -> None:
        """For the steps to come."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate

    def states(self) -> Iterator[tuple[nn.Parameter, dict[str, Tensor]]]:
        """The parameters of this process's share, and what AdamW keeps for each."""
        for part in self.parts:
            for group in part.optim.param_groups:
                for parameter in group["params"]:
                    yield parameter, part.optim.state[parameter]


def _sharded(
    parameters: list[nn.Parameter], group: Any, options: dict[str, Any]
) -> ZeroRedundancyOptimizer:
    # One tensor after another: several at once would add nothing on a CPU, and could round differently.
    return ZeroRedundancyOptimizer(
        parameters, torch.optim.AdamW, process_group=group, foreach=False, **options
    )
