"""What a version of the all-to-all does, for all ranks that live in this process: `Buffer` is one rank's end of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology


class Outgoing(NamedTuple):
    """What one rank sends: `tokens` [T, H], their `routing` [T, K], and `scales` [T, S] float32 that travel along with FP8."""

    tokens: Tensor
    routing: Routing
    scales: Tensor | None = None


class Exchange(Protocol):
    """Dispatches and combines for the `ranks` of this process, in lists with one element a rank."""

    topology: Topology
    ranks: range

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
    ) -> list[tuple[Received, Any]]:
        """Each rank's received tokens, and the handle that its combine needs, which has its `layout`. With handles of an
        earlier dispatch of the same routings no counts are exchanged. Raises `InputError` before anything moves."""
        ...

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[Any],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Each rank's sums [T, H] of the outputs [M, H], and those of weights [M, K] float32 where they travel along."""
        ...
