"""The chunks of several ranks as one chunk: each part does that part of every rank, one rank after another.

So ranks that share one device take turns in one thread, and what is computed for all of them lies beside what is sent
between all of them. The ranks' buffers have seats at one meeting and communicate in the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.started import Started
from dualpipe_ref.model.parts import (
    Computation,
    Exchange,
    Gradients,
    LayerParts,
    StageParts,
    Values,
)
from dualpipe_ref.model.recompute import Remade
from dualpipe_ref.schedule import InputError


def all_ranks(stages: Sequence[StageParts]) -> StageParts:
    """One stage for the same stage of R ranks, between an embedding and a loss: [R, ...] to [R, ...].

    Raises `InputError` for stages that begin or end a model, differ, or compute parts again.

    >>> double = LayerParts(lambda x: (2 * x,), None, lambda x: (x + 1,), None)
    >>> stage = all_ranks([StageParts(None, [double], None)] * 2)
    >>> values = stage.before(torch.tensor([1.0, 5.0]))
    >>> stage.after(*stage.layers[0].mlp(*stage.layers[0].attention(*values)))[0].tolist()
    [3.0, 11.0]
    """
    if any(one.before or one.after for one in stages):
        raise InputError("ranks are put together between an embedding and a loss", "one of these")
    if len({len(one.layers) for one in stages}) != 1:
        raise InputError("all ranks have the same layers", f"{[len(one.layers) for one in stages]}")
    layers = [_layer(some) for some in zip(*(one.layers for one in stages), strict=True)]
    return StageParts(_apart, layers, lambda *values: (torch.stack(values),))


def _apart(values: Tensor) -> Values:
    return tuple(values.unbind())


def _layer(ranks: Sequence[LayerParts]) -> LayerParts:
    return LayerParts(
        _computation([one.attention for one in ranks]),
        _exchange([one.dispatch for one in ranks]),
        _computation([one.mlp for one in ranks]),
        _exchange([one.combine for one in ranks]),
    )


def _computation(ranks: Sequence[Computation]) -> Computation:
    if any(isinstance(one, Remade) for one in ranks):
        raise InputError("parts are not computed again", "recompute = 'full'", "recompute = 'none'")
    return lambda *values: _joined(
        part(*own) for part, own in zip(ranks, _split(values, len(ranks)), strict=True)
    )


def _exchange(ranks: Sequence[Exchange | None]) -> Exchange | None:
    there = [one for one in ranks if one is not None]
    return _Together(there) if len(there) == len(ranks) else None


class _Together(NamedTuple):
    """The same exchange of all ranks, `parts.Exchange`: each begins its own, and they meet."""

    ranks: Sequence[Exchange]

    def start(self, *values: Any) -> Started[tuple[Values, Any]]:
        own = _split(values, len(self.ranks))
        moving = [part.start(*some) for part, some in zip(self.ranks, own, strict=True)]

        def finish() -> tuple[Values, Any]:
            came, contexts = zip(*(one.wait() for one in moving), strict=True)
            return _joined(came), contexts

        return Started(finish)

    def start_back(self, context: Any, gradients: Gradients) -> Started[Gradients]:
        own = _split(gradients, len(self.ranks))
        moving = [
            part.start_back(one, some)
            for part, one, some in zip(self.ranks, context, own, strict=True)
        ]
        return Started(lambda: _joined(one.wait() for one in moving))


def _split(values: Values, ranks: int) -> list[Values]:
    each = len(values) // ranks
    return [values[place * each : (place + 1) * each] for place in range(ranks)]


def _joined(parts: Any) -> Values:
    return tuple(chain.from_iterable(parts))
