"""AdamW whose states are shared out among the processes that hold the same parameters (ZeRO stage 1)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer

from dualpipe_ref.runtime.narrow_adamw import NarrowAdamW, new_state
from dualpipe_ref.runtime.pipeline import Pipeline, processes_of
from dualpipe_ref.runtime.sharing import dense_parameters, expert_parameters


class ShardedAdamW:
    """torch's ZeroRedundancyOptimizer over AdamW: once for the dense parameters, once for the experts.

    Each process keeps the states of its share, steps that, and sends what it stepped to the others. An update is made
    number by number, so it is that of an AdamW that holds everything, bit for bit. All processes make it and step together.
    `moments` is the type of both moments (None: that of the parameters).
    """

    def __init__(
        self, pipeline: Pipeline, *, moments: torch.dtype | None = None, **options: Any
    ) -> None:
        self.moments = moments
        # Both ends of a bidirectional schedule hold the same stages in other slots: stages are put in their own order.
        order = sorted(range(len(pipeline.stages)), key=lambda slot: pipeline.homes[slot][1])
        stages = [pipeline.stages[slot] for slot in order]
        grid = processes_of(pipeline.grid)
        kinds = (
            (dense_parameters, grid.dense_replicas),
            (expert_parameters, grid.expert_replicas),
        )
        self.parts = []
        for parameters_of, group in kinds:
            parameters = [one for stage in stages for one in parameters_of(stage)]
            if parameters:
                self.parts.append(_sharded(parameters, group, moments, options))

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

    def clip(self, bound: float) -> float:
        """Scale all gradients so that the norm of them together is at most `bound`; the norm before.

        A parameter that several processes hold counts once: at its first holder.
        """
        device = self._all(self.parts[0])[0].device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for part in self.parts:
            if torch.distributed.get_rank(part.process_group) == 0:
                for one in self._all(part):
                    if one.grad is not None:
                        total += one.grad.double().pow(2).sum()
        torch.distributed.all_reduce(total)
        norm: float = total.sqrt().item()
        if norm > bound:
            for part in self.parts:
                for one in self._all(part):
                    if one.grad is not None:
                        one.grad.mul_(bound / norm)
        return norm

    def states(self) -> Iterator[tuple[nn.Parameter, dict[str, Tensor]]]:
        """The parameters of this process's share, and what AdamW keeps for each."""
        for part in self.parts:
            for group in part.optim.param_groups:
                for parameter in group["params"]:
                    yield parameter, part.optim.state[parameter]

    def prepare(self) -> None:
        """Give each parameter of the share the states that AdamW makes at its first step, to be filled."""
        for parameter, state in self.states():
            state.update(new_state(parameter, self.moments))

    @staticmethod
    def _all(part: ZeroRedundancyOptimizer) -> list[nn.Parameter]:
        return [one for group in part.param_groups for one in group["params"]]


def _sharded(
    parameters: list[nn.Parameter],
    group: Any,
    moments: torch.dtype | None,
    options: dict[str, Any],
) -> ZeroRedundancyOptimizer:
    # Weights decay where they are matrices; norms and their like do not. One tensor after another: several at once
    # would add nothing on a CPU, and could round differently.
    matrices = [one for one in parameters if one.dim() > 1]
    others = [one for one in parameters if one.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}] if matrices else []
    groups += [{"params": others, "weight_decay": 0.0}] if others else []
    kind: Any = torch.optim.AdamW if moments is None else partial(NarrowAdamW, moments=moments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ZeroRedundancyOptimizer(groups, kind, process_group=group, foreach=False, **options)
