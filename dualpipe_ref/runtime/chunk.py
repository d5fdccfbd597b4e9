"""One micro-batch in one stage: its parts run forward one by one, each cut off from the last, and then backward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dualpipe_ref.comm.started import Started
from dualpipe_ref.model.parts import (
    Computation,
    Exchange,
    Gradients,
    InParts,
    LayerParts,
    StageParts,
    Values,
    run_parts,
)
from dualpipe_ref.model.recompute import Remade
from dualpipe_ref.runtime.split_backward import Weights, input_gradients


class _Computed(NamedTuple):
    """What a computation took (leaves of its own graph) and left; where it is to be run again, itself in place of that."""

    inputs: Values
    outputs: Values
    again: Remade | None = None


class _Exchanged(NamedTuple):
    """What the way back of an exchange needs: its context, and zeros for values that got no gradient."""

    part: Exchange
    context: Any
    outputs: Values


class ChunkRun:
    """The run of one chunk. Its methods are called in the order of the parts, then in the reverse order.

    `compute` and `start`/`finish` go forward; `compute_back` and `start_back`/`finish_back` go backward. With
    `split`, the W of a computation waits for `weights`; without, it is done at once. After `forward_whole` the chunk is
    one part.
    """

    def __init__(self, parts: StageParts, source: Tensor, targets: Tensor | None) -> None:
        self.parts, self.targets = parts, targets
        self.values: Values = (source,)
        self.gradients: Gradients = ()
        self._records: list[_Computed | _Exchanged] = []
        self._waiting: dict[int, Weights] = {}
        self._moving: Started[Any] | None = None

    def compute(self, part: Computation) -> None:
        """Run a computation on the values."""
        inputs = tuple(_leaf(one) for one in self.values)
        if isinstance(part, Remade):
            self.values = part.first(*inputs)
            self._records.append(_Computed(inputs, (), part))
            return
        with torch.enable_grad():
            outputs = part(*inputs)
        self._records.append(_Computed(inputs, outputs))
        self.values = tuple(one.detach() if _is_number(one) else one for one in outputs)

    def judge(self) -> None:
        """Run what comes after the layers, with the targets where there are some."""
        after, targets = self.parts.after, self.targets
        if after and targets is not None:
            self.compute(lambda *values: after(*values, targets))
        elif after:
            self.compute(after)

    def start(self, part: Exchange) -> None:
        """Begin an exchange of the values; `finish` waits for it."""
        self._part = part
        self._moving = part.start(*self.values)

    def finish(self) -> None:
        """The values that the exchange brought."""
        assert self._moving is not None
        self.values, context = self._moving.wait()
        self._records.append(_Exchanged(self._part, context, self.values))
        self._moving = None

    def compute_back(self, *, split: bool) -> int:
        """The backward of the last computation that has not had one; the number by which `weights` knows it."""
        record = self._records.pop()
        number = len(self._records)
        assert isinstance(record, _Computed)
        left = record.again.second(*record.inputs) if record.again else record.outputs
        pairs = [
            (output, gradient)
            for output, gradient in zip(left, self.gradients, strict=True)
            if gradient is not None and output.requires_grad
        ]
        outputs, gradients = [one for one, _ in pairs], [one for _, one in pairs]
        leaves = [one for one in record.inputs if _is_number(one)]
        if split:
            found, weights = input_gradients(outputs, gradients, leaves)
            self._waiting[number] = weights
        else:
            torch.autograd.backward(outputs, gradients)
            found = tuple(one.grad for one in leaves)
        arrived = iter(found)
        self.gradients = tuple(next(arrived) if _is_number(one) else None for one in record.inputs)
        return number

    def start_back(self) -> None:
        """Begin the way back of the last exchange that has not had one."""
        record = self._records.pop()
        assert isinstance(record, _Exchanged)
        gradients = tuple(
            torch.zeros_like(output) if gradient is None and _is_number(output) else gradient
            for output, gradient in zip(record.outputs, self.gradients, strict=True)
        )
        self._moving = record.part.start_back(record.context, gradients)

    def finish_back(self) -> None:
        """The gradients that the exchange brought back."""
        assert self._moving is not None
        self.gradients = self._moving.wait()
        self._moving = None

    def computations(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """What each computation left that has a graph, and what it took that has a gradient, before its backward."""
        for record in self._records:
            if isinstance(record, _Computed):
                made = record.again.second(*record.inputs) if record.again else record.outputs
                outputs = [one for one in made if _is_number(one) and one.requires_grad]
                yield outputs, [one for one in record.inputs if _is_number(one)]

    def weights(self, number: int | None = None) -> None:
        """Run the W of one computation, or all that wait, in the order in which they arose."""
        for one in list(self._waiting) if number is None else [number]:
            self._waiting.pop(one)()

    def forward(self) -> None:
        """All of it, one part after another."""
        if self.parts.before:
            self.compute(self.parts.before)
        for layer in self.parts.layers:
            self.forward_layer(layer)
        self.judge()

    def forward_layer(self, layer: tuple[Computation | Exchange | None, ...]) -> None:
        """The parts of one layer."""
        for part in layer:
            if callable(part):
                self.compute(part)
            elif part:
                self.start(part)
                self.finish()

    def forward_whole(self) -> None:
        """All of it as one computation, for a backward that takes no turns either: autograd walks one graph, and nothing is cut."""
        parts, targets = self.parts, self.targets
        self.compute(lambda *values: (run_parts(parts, *values, targets=targets),))

    def forward_only(self) -> None:
        """The same without a backward to come."""
        with torch.no_grad():
            self.values = (run_parts(self.parts, *self.values, targets=self.targets),)

    def judge_back(self, gradient: Tensor, *, split: bool) -> None:
        """Take the gradient of what the chunk left; the backward of what comes after the layers."""
        self.gradients = (gradient,)
        if self.parts.after:  # where nothing was cut, this is all of it
            self.compute_back(split=split)

    def backward(self, *, split: bool) -> None:
        """What is left of the backward, from `gradients` on."""
        while self._records:
            if isinstance(self._records[-1], _Computed):
                self.compute_back(split=split)
            else:
                self.start_back()
                self.finish_back()


def parts_of(module: nn.Module) -> StageParts:
    """The parts that a module offers; one that offers none is one computation. A layer alone is a stage of one."""
    if isinstance(module, InParts):
        parts = module.parts()
        return StageParts(None, (parts,), None) if isinstance(parts, LayerParts) else parts
    return StageParts(None, (), lambda *values: (module(*values),))


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _leaf(value: Any) -> Any:
    return value.detach().requires_grad_() if _is_number(value) else value
