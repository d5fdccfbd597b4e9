"""The worker that computes: a rank's ops on the modules of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dualpipe_ref.runtime.can_split import check_can_split
from dualpipe_ref.runtime.chunk import ChunkRun, parts_of
from dualpipe_ref.runtime.executor import Mail
from dualpipe_ref.runtime.overlap import OrderOf, overlapped_forward_backward
from dualpipe_ref.schedule import Chunk, InputError, Op, OpKind, Payload, Schedule

# What goes in at the first stage, and what the last one compares with, by (direction, micro-batch).
Feed = Mapping[tuple[int, int], Tensor]


class StageWorker:
    """Computes one rank's ops. `stages[slot]` is the module of the stage that the placement gives that slot.

    A stage maps the activations of the stage before it to its own; the last stage of a direction also takes the targets
    and returns the loss of the micro-batch, a mean. A module with `parts()` (see `model.parts`) may be cut, and with an
    `order_of` the two chunks of an FB take turns; without, F runs before B. `scale` is what each loss is multiplied with.
    """

    def __init__(
        self,
        schedule: Schedule,
        rank: int,
        stages: Sequence[nn.Module],
        scale: float,
        order_of: OrderOf | None = None,
    ) -> None:
        if len(stages) != schedule.placement.slots:
            raise InputError(
                "a rank has one stage a slot",
                f"{len(stages)} stages",
                str(schedule.placement.slots),
            )
        self.stages, self.scale, self.order_of = stages, scale, order_of
        self.homes = schedule.placement.homes[rank]
        self.last = schedule.placement.stages - 1
        self._whole = {
            op.backward for op in schedule.ops[rank] if op.backward and self._goes_back_whole(op)
        }
        # An I of the first stage has no input to find a gradient for: its W is a whole backward.
        self._split = {
            op.backward.slot
            for op in schedule.ops[rank]
            if op.backward and op.kind in (OpKind.I, OpKind.FB)
            if op.backward not in self._whole
        }
        self.training = True

    def check_can_split(self, activation: Tensor) -> None:
        """Raise `InputError` if a stage whose backward the schedule splits cannot be split; computes no gradient.

        Called after `begin`, with an example of what goes between stages.
        """
        for slot in sorted(self._split):
            direction, stage = self.homes[slot]
            source = activation if stage else _one_of(self._inputs, direction)
            targets = _one_of(self._targets, direction) if stage == self.last else None
            check_can_split(self.stages[slot], source, targets, name=f"stage {stage}")

    def begin(self, inputs: Feed, targets: Feed) -> None:
        """What the next step is to work on. Raises `InputError` where micro-batches differ in shape."""
        for feed in (inputs, targets):
            shapes = {key: tuple(one.shape) for key, one in feed.items()}
            wanted = next(iter(shapes.values()), ())
            for (direction, microbatch), shape in shapes.items():
                if shape != wanted:
                    raise InputError(
                        "all micro-batches of a step have one shape: a receive is posted before anybody has seen what comes",
                        f"{shape} for micro-batch {microbatch}, direction {direction}",
                        f"{wanted}; drop the last micro-batch, or fill it up",
                    )
        self._inputs, self._targets = inputs, targets
        self._running: dict[Chunk, ChunkRun] = {}
        self.losses: dict[tuple[int, int], Tensor] = {}

    def run(self, op: Op, mail: Mail) -> None:
        """One op; see `executor.Worker`."""
        if op.kind is OpKind.FB and op.forward and op.backward and self.order_of:
            self._overlapped(op.forward, op.backward, mail, self.order_of)
            return
        if op.forward:
            self._forward(op.forward, mail)
        if op.backward and op.kind is OpKind.W:
            self._running.pop(op.backward).weights()
        elif op.backward:
            self._backward(op.backward, mail, split=op.kind is OpKind.I)

    def _goes_back_whole(self, op: Op) -> bool:
        """Whether the chunk of this backward is best left whole. Cuts serve turns, and a W: each looks at all of its graph."""
        assert op.backward
        if op.kind is OpKind.I:  # of the first stage nobody waits for a gradient
            return self.homes[op.backward.slot][1] == 0
        return op.kind is OpKind.B or (op.kind is OpKind.FB and self.order_of is None)

    def _forward(self, place: Chunk, mail: Mail) -> None:
        chunk = self._chunk(place, mail)
        if self.training:
            if place in self._whole:
                chunk.forward_whole()
            else:
                chunk.forward()
            self._running[place] = chunk
        else:
            chunk.forward_only()
        self._left(place, chunk, mail)

    def _backward(self, place: Chunk, mail: Mail, *, split: bool) -> None:
        chunk = self._running[place]
        chunk.judge_back(self._gradient(place, chunk, mail), split=split)
        chunk.backward(split=split)
        self._done(place, chunk, mail)
        if not split:
            del self._running[place]

    def _overlapped(self, forward: Chunk, backward: Chunk, mail: Mail, order_of: OrderOf) -> None:
        new, old = self._chunk(forward, mail), self._running.pop(backward)
        gradient = self._gradient(backward, old, mail)
        overlapped_forward_backward(new, old, gradient, order_of)
        self._running[forward] = new
        self._left(forward, new, mail)
        self._done(backward, old, mail)

    def _chunk(self, place: Chunk, mail: Mail) -> ChunkRun:
        direction, stage = self.homes[place.slot]
        key = direction, place.microbatch
        targets = self._targets[key] if stage == self.last else None
        if stage == 0:
            source = self._inputs[key]
        else:
            source = mail.pop((Payload.ACTIVATION, direction, stage - 1, place.microbatch))
        return ChunkRun(parts_of(self.stages[place.slot]), source, targets)

    def _left(self, place: Chunk, chunk: ChunkRun, mail: Mail) -> None:
        """What a forward leaves: an activation for the next stage, or a loss."""
        direction, stage = self.homes[place.slot]
        (output,) = chunk.values
        if stage < self.last:
            mail[Payload.ACTIVATION, direction, stage, place.microbatch] = output
            return
        if not output.isfinite():
            raise RuntimeError(
                f"the loss of micro-batch {place.microbatch}, direction {direction}, is {output.item()}"
            )
        self.losses[direction, place.microbatch] = output

    def _gradient(self, place: Chunk, chunk: ChunkRun, mail: Mail) -> Tensor:
        direction, stage = self.homes[place.slot]
        if stage == self.last:
            return torch.full_like(chunk.values[0], self.scale)
        return mail.pop((Payload.GRADIENT, direction, stage + 1, place.microbatch))

    def _done(self, place: Chunk, chunk: ChunkRun, mail: Mail) -> None:
        direction, stage = self.homes[place.slot]
        if stage:
            (gradient,) = chunk.gradients
            assert gradient is not None
            mail[Payload.GRADIENT, direction, stage, place.microbatch] = gradient


def _one_of(feed: Feed, direction: int) -> Tensor:
    return next(one for (at, _), one in feed.items() if at == direction)
