"""Run one rank's program of any schedule with real stages: computations on autograd, messages between processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpipe_ref.runtime.point_to_point import PointToPoint
from dualpipe_ref.schedule import Batch, Chunk, InputError, Message, Op, OpKind, Payload, Schedule

# What goes in at the first stage, and what the last one compares with, by (direction, micro-batch).
Feed = Mapping[tuple[int, int], Tensor]


@dataclass
class _Running:
    """One chunk between its forward and the end of its backward."""

    source: Tensor
    output: Tensor
    gradient: Tensor | None = None


class Executor:
    """One rank of a schedule. `stages[slot]` is the module of the stage that the placement gives that slot.

    A stage maps the activations of the stage before it to its own; the last stage of a direction also takes the targets
    and returns the loss of the micro-batch, a mean. Activations and gradients all have the shape of `wires`.

    I and W are two passes over the same graph: I asks autograd for the gradient of the stage's input, W for those
    of its parameters. That computes some gradients twice; it is right for every module.
    """

    def __init__(
        self, schedule: Schedule, rank: int, stages: Sequence[nn.Module], wires: PointToPoint
    ) -> None:
        if len(stages) != schedule.placement.slots:
            raise InputError(
                "a rank has one stage a slot",
                f"{len(stages)} stages",
                str(schedule.placement.slots),
            )
        self.schedule, self.rank, self.stages, self.wires = schedule, rank, stages, wires
        self.homes = schedule.placement.homes[rank]
        self.last = schedule.placement.stages - 1

    def step(self, inputs: Feed, targets: Feed) -> dict[tuple[int, int], Tensor]:
        """Run one step; gradients of the sum of all losses / m are added to the parameters' `grad`.

        Returns the losses of the micro-batches that end on this rank. Raises RuntimeError where an op lacks what it
        needs, which `verify` would have found.
        """
        self._inputs, self._targets = inputs, targets
        self._running: dict[Chunk, _Running] = {}
        self._arrived: dict[tuple[Payload, int, int, int], Tensor] = {}
        self._losses: dict[tuple[int, int], Tensor] = {}
        for event in self.schedule.programs[self.rank]:
            if isinstance(event, Batch):
                self.wires.run(event.messages, self._give, self._take)
            else:
                self._compute(event)
        if self._running:
            raise RuntimeError(f"rank {self.rank} ends with {len(self._running)} chunks unfinished")
        return self._losses

    def _compute(self, op: Op) -> None:
        if op.forward:
            self._forward(op.forward)
        if op.backward:
            if op.kind in (OpKind.I, OpKind.B, OpKind.FB):
                self._backward_input(op.backward)
            if op.kind in (OpKind.W, OpKind.B, OpKind.FB):
                self._backward_weights(op.backward)

    def _forward(self, chunk: Chunk) -> None:
        direction, stage = self.homes[chunk.slot]
        if stage == 0:
            source = self._inputs[direction, chunk.microbatch]
        else:
            arrived = self._fetch(Payload.ACTIVATION, direction, stage - 1, chunk.microbatch)
            source = arrived.detach().requires_grad_()
        module = self.stages[chunk.slot]
        if stage < self.last:
            output = module(source)
            self._hand_over(Payload.ACTIVATION, direction, stage, chunk.microbatch, output.detach())
        else:
            output = module(source, self._targets[direction, chunk.microbatch])
            self._losses[direction, chunk.microbatch] = output.detach()
        self._running[chunk] = _Running(source, output)

    def _backward_input(self, chunk: Chunk) -> None:
        direction, stage = self.homes[chunk.slot]
        running = self._running[chunk]
        if stage == self.last:
            running.gradient = torch.full_like(running.output, 1 / self.schedule.microbatches)
        else:
            running.gradient = self._fetch(Payload.GRADIENT, direction, stage + 1, chunk.microbatch)
        if stage > 0:
            (gradient,) = torch.autograd.grad(
                running.output, running.source, running.gradient, retain_graph=True
            )
            self._hand_over(Payload.GRADIENT, direction, stage, chunk.microbatch, gradient)

    def _backward_weights(self, chunk: Chunk) -> None:
        running = self._running.pop(chunk)
        if running.gradient is None:
            raise RuntimeError(f"rank {self.rank} runs W of {chunk} before its I")
        parameters = [one for one in self.stages[chunk.slot].parameters() if one.requires_grad]
        gradients = torch.autograd.grad(
            running.output, parameters, running.gradient, allow_unused=True
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad += gradient

    def _hand_over(
        self, payload: Payload, direction: int, stage: int, microbatch: int, values: Tensor
    ) -> None:
        """Keep an output until its batch sends it, or until the next stage here, on the same rank, takes it."""
        self._arrived[payload, direction, stage, microbatch] = values

    def _fetch(self, payload: Payload, direction: int, stage: int, microbatch: int) -> Tensor:
        key = payload, direction, stage, microbatch
        if key not in self._arrived:
            raise RuntimeError(
                f"rank {self.rank} needs the {payload} of micro-batch {microbatch}, direction {direction},"
                f" from stage {stage}, which has not come"
            )
        return self._arrived.pop(key)

    def _give(self, message: Message) -> Tensor:
        return self._fetch(message.payload, message.direction, message.stage, message.microbatch)

    def _take(self, message: Message, values: Tensor) -> None:
        self._hand_over(
            message.payload, message.direction, message.stage, message.microbatch, values
        )
