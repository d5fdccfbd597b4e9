"""The two sides of the step bench: this runtime and torch.distributed.pipelining, with equal stages, data and order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, schedules
from torch.nn import functional

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.schedule import Schedule, build

# Orders that both sides have, op for op (tests/test_schedule compares them), by torch's class.
CLASSES = {
    "1f1b": "Schedule1F1B",
    "zb-v": "ScheduleZBVZeroBubble",
    "dualpipev": "ScheduleDualPipeV",
}


@dataclass(frozen=True)
class Case:
    """What is run: a schedule by name, the sizes of the model, and micro-batches of one sequence of `tokens`.

    `microbatches` is a power of 2: a scaling by 1 / m is then exact, wherever in the step it is done.
    """

    kind: str
    ranks: int
    microbatches: int
    tokens: int
    model: dict[str, Any] = field(default_factory=dict)

    def config(self) -> ModelConfig:
        """The sizes as the model takes them."""
        return ModelConfig(**self.model)

    def schedule(self) -> Schedule:
        """This project's schedule."""
        return build(self.kind, self.ranks, self.microbatches)

    def stage(self, number: int, stages: int) -> Stage:
        """A new copy of one stage; every copy begins with the same parameters."""
        config = self.config()
        buffer = Buffer(Topology(1, 1), config.experts, Alone())
        return Stage(config, number, stages, buffer)

    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets [m, S] int64, the same in every process."""
        generator = torch.Generator().manual_seed(0)
        size = (self.microbatches, self.tokens + 1)
        both = torch.randint(self.config().vocabulary, size, generator=generator)
        return both[:, :-1].contiguous(), both[:, 1:].contiguous()


class Side(Protocol):
    """One of the two: forward and backward of all micro-batches."""

    stages: dict[int, nn.Module]

    def step(self) -> list[Tensor]:
        """The losses of the micro-batches, on the rank of the last stage."""
        ...

    def gradients(self) -> dict[str, Tensor]:
        """Those of the mean loss, by stage and name."""
        ...


class Ours:
    """This runtime; a chunk's backward begins with the gradient 1 / m."""

    def __init__(self, case: Case) -> None:
        schedule = case.schedule()
        shape = (1, case.tokens, case.config().hidden)
        self.pipeline = Pipeline(schedule, make_grid(schedule), case.stage, shape)
        self.stages = {
            stage: module
            for (_, stage), module in zip(self.pipeline.homes, self.pipeline.stages, strict=True)
        }
        self._feeds = [
            {(0, number): row for number, row in enumerate(rows.split(1))} for rows in case.data()
        ]

    def step(self) -> list[Tensor]:
        losses = self.pipeline.run(*self._feeds)
        return [losses[key] for key in sorted(losses)]

    def gradients(self) -> dict[str, Tensor]:
        return _gradients(self.stages, 1)


class Theirs:
    """torch.distributed.pipelining with shapes given beforehand, so that its stages need not find them out.

    Its pass over all gradients at the end of a step, which divides them by m, is left out (`scale_grads`): this side
    does no work that the other one has no need of. `gradients` divides instead.
    """

    def __init__(self, case: Case) -> None:
        self.microbatches = case.microbatches
        rank = torch.distributed.get_rank()
        placement = case.schedule().placement
        self.stages = {
            stage: case.stage(stage, placement.stages) for _, stage in placement.homes[rank]
        }
        made = [_pipeline_stage(case, *one, placement.stages) for one in self.stages.items()]
        kind = getattr(schedules, CLASSES[case.kind])
        stages = made[0] if case.kind == "1f1b" else made
        self.schedule = kind(stages, case.microbatches, loss_fn=_loss, scale_grads=False)
        self.inputs, self.targets = case.data()

    def step(self) -> list[Tensor]:
        losses: list[Tensor] = []
        inputs = [self.inputs] if 0 in self.stages else []
        self.schedule.step(*inputs, target=self.targets, losses=losses, return_outputs=False)
        return losses

    def gradients(self) -> dict[str, Tensor]:
        return _gradients(self.stages, self.microbatches)


SIDES: dict[str, Callable[[Case], Side]] = {"ours": Ours, "theirs": Theirs}


def _pipeline_stage(case: Case, number: int, module: nn.Module, stages: int) -> PipelineStage:
    config, size = case.config(), (1, case.tokens)
    between = torch.zeros(*size, config.hidden, requires_grad=True)
    first = torch.zeros(size, dtype=torch.int64)
    logits = torch.zeros(*size, config.vocabulary, requires_grad=True)
    return PipelineStage(
        module,
        number,
        stages,
        torch.device("cpu"),
        input_args=between if number else first,
        output_args=between if number < stages - 1 else logits,
    )


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _gradients(stages: dict[int, nn.Module], divisor: int) -> dict[str, Tensor]:
    return {
        f"stage {stage}: {name}": parameter.grad / divisor
        for stage, module in stages.items()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
