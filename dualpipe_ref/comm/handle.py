"""What a dispatch leaves for its combine, and what the two kinds of versions of the all-to-all give to `Buffer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.reference import Received


@dataclass(frozen=True, eq=False)
class Handle:
    """Who got what, as the sender and the receiver of one dispatch know it; its combine needs nothing else.

    `layout` of what this rank sent; `received`, M, how many tokens it got; `hidden` the size of a token; `route` what the
    version keeps for itself. Given to a later dispatch of the same
    routing, it saves the exchange of counts.
    """

    layout: Layout
    received: int
    hidden: int
    route: Any

    @property
    def tokens(self) -> int:
        """T of this rank."""
        return len(self.layout.routing)

    @property
    def sent(self) -> list[int]:
        """How many tokens this rank sent to each rank."""
        counts: list[int] = self.layout.tokens_per_rank.tolist()
        return counts


Event: TypeAlias = torch.cuda.Event
Sums: TypeAlias = tuple[Tensor, Tensor | None]


class End(Protocol):
    """One rank's end of a version. Nothing here knows of gradients: those are `Buffer`'s.

    There are two: `over_mover.OverMover` and `over_exchange.OverExchange`.
    """

    rank: int

    def start_dispatch(
        self, outgoing: Outgoing, handle: Handle | None, previous_event: Event | None
    ) -> Callable[[], tuple[Received, Handle]]:
        """Send tokens along; what comes back waits for those that come here."""
        ...

    def start_combine(
        self,
        outputs: Tensor,
        weights: Tensor | None,
        handle: Handle,
        previous_event: Event | None,
    ) -> Callable[[], Sums]:
        """Send rows [M, H] and [M, K] back to where the tokens came from; what comes back waits for the sums there."""
        ...

    def start_copies(
        self, values: Tensor, weights: Tensor | None, handle: Handle
    ) -> Callable[[], Sums]:
        """Send rows [T, H] and [T, K] along the routes of an earlier dispatch: [M, H] and [M, K], 0 for experts elsewhere."""
        ...
