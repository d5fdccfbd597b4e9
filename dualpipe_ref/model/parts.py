"""What a stage offers so that two chunks can take turns: its work as parts, computations and exchanges.

A module joins by one method, `parts()`, that returns `StageParts`. Every part takes all values that the part before it
left and leaves all that the next one needs; values may be tensors or anything else, such as a handle.

>>> import torch
>>> class Doubled(torch.nn.Module):
...     def parts(self):
...         return StageParts(None, [LayerParts(lambda x: (2 * x,), None, lambda x: (x + 1,), None)], None)
>>> run_parts(Doubled().parts(), torch.tensor(3.0))
tensor(7.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from dualpipe_ref.comm.started import Started

Values = tuple[Any, ...]
Gradients = tuple[Tensor | None, ...]
# Autograd finds the way back of a computation by itself.
Computation = Callable[..., Values]


class Exchange(Protocol):
    """Communication that begins, is on its way while something else is computed, and ends."""

    def start(self, *values: Any) -> Started[tuple[Values, Any]]:
        """Begin; the result is the values that the next part takes, and what `start_back` is to be given.

        Where the values have a graph, the result has one too.
        """
        ...

    def start_back(self, context: Any, gradients: Gradients) -> Started[Gradients]:
        """Begin the way back: gradients of the values that came, None for what is no number, become those of the values that went."""
        ...


class LayerParts(NamedTuple):
    """A layer, cut where it communicates (DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1)."""

    attention: Computation
    dispatch: Exchange | None
    mlp: Computation
    combine: Exchange | None


class StageParts(NamedTuple):
    """A stage: what comes before its layers (such as an embedding), the layers, and what comes after them.

    `after` takes the values and, on the last stage, the targets, and leaves one value: the output or the loss.
    """

    before: Computation | None
    layers: Sequence[LayerParts]
    after: Computation | None


@runtime_checkable
class InParts(Protocol):
    """A module whose chunks can take turns with others; a layer is a stage of one."""

    def parts(self) -> StageParts | LayerParts: ...


def in_order(parts: StageParts) -> Iterator[Computation | Exchange]:
    """All parts of a forward but `after`, one after another."""
    if parts.before:
        yield parts.before
    for layer in parts.layers:
        yield from (part for part in layer if part)


def run_parts(parts: StageParts, *source: Any, targets: Tensor | None = None) -> Tensor:
    """The whole forward at once, under autograd, with nothing beside anything."""
    values: Values = source
    for part in in_order(parts):
        values = run_part(part, values)
    if parts.after:
        values = parts.after(*values) if targets is None else parts.after(*values, targets)
    output: Tensor = values[0]
    return output


def run_part(part: Computation | Exchange, values: Values) -> Values:
    """One part from its beginning to its end."""
    if callable(part):
        return part(*values)
    return part.start(*values).wait()[0]
