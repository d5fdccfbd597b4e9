"""A version of the all-to-all on a device, for tests that compare with the oracle on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing


class OnDevice:
    """Takes and gives tensors of the CPU; an `exchange.Exchange` like the one inside."""

    def __init__(self, inside: Exchange, device: torch.device) -> None:
        self.inside, self.device = inside, device
        self.topology, self.ranks = inside.topology, inside.ranks

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
    ) -> list[tuple[Received, Any]]:
        there = [
            Outgoing(
                one.tokens.to(self.device),
                Routing(*(part.to(self.device) for part in one.routing)),
                None if one.scales is None else one.scales.to(self.device),
            )
            for one in outgoing
        ]
        got = self.inside.dispatch(there, experts, handles)
        return [(Received(*map(_home, received)), handle) for received, handle in got]

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[Any],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        along = None if weights is None else [one.to(self.device) for one in weights]
        got = self.inside.combine([one.to(self.device) for one in outputs], handles, along)
        return [(total.cpu(), _home(weight)) for total, weight in got]


def _home(one: Tensor | None) -> Any:
    return None if one is None else one.cpu()
