"""The versions made of kernels: one rank's end of an `Exchange`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.handle import Event, Handle, Sums
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.started import Beside, arrived
from dualpipe_ref.comm.together import Seat
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError


class OverExchange:
    """One rank's end of an exchange: what it sends meets, at its seat, what the other ranks of its process send."""

    def __init__(self, topology: Topology, experts: int, seat: Seat) -> None:
        if topology != seat.topology:
            raise InputError(
                "the topology is that of the exchange", f"{topology}", f"{seat.topology}"
            )
        self.seat, self.rank, self.experts = seat, seat.rank, experts
        self._beside = Beside()

    def start_dispatch(
        self, outgoing: Outgoing, handle: Handle | None, previous_event: Event | None
    ) -> Callable[[], tuple[Received, Handle]]:
        tokens, (chosen, weights), scales = outgoing
        # Kernels find rows by their address: what does not lie in one piece is copied.
        sent = Outgoing(
            tokens.detach().contiguous(),
            Routing(chosen.contiguous(), _carried(weights)),
            None if scales is None else scales.contiguous(),
        )
        route = None if handle is None else handle.route
        begun = self._soon(
            lambda: self.seat.dispatch(sent, self.experts, route), tokens.device, previous_event
        )

        def finish() -> tuple[Received, Handle]:
            (received, kept), event = begun()
            arrived(event, [one for one in received if one is not None])
            known = handle or Handle(
                kept.layout, len(received.tokens), received.tokens.shape[1], kept
            )
            return received._replace(weights=received.weights.to(weights.dtype)), known

        return finish

    def start_combine(
        self,
        outputs: Tensor,
        weights: Tensor | None,
        handle: Handle,
        previous_event: Event | None,
    ) -> Callable[[], Sums]:
        along = None if weights is None else _carried(weights)
        begun = self._soon(
            lambda: self.seat.combine(outputs.contiguous(), along, handle.route),
            outputs.device,
            previous_event,
        )

        def finish() -> Sums:
            (sums, of_weights), event = begun()
            arrived(event, [one for one in (sums, of_weights) if one is not None])
            if weights is None or of_weights is None:
                return sums, None
            return sums, of_weights.to(weights.dtype)

        return finish

    def start_copies(
        self, values: Tensor, weights: Tensor | None, handle: Handle
    ) -> Callable[[], Sums]:
        experts = handle.layout.routing
        along = values.new_zeros(experts.shape) if weights is None else weights
        routing = Routing(experts, along)
        finish = self.start_dispatch(Outgoing(values, routing), handle, None)

        def finish_copies() -> Sums:
            received, _ = finish()
            return received.tokens, None if weights is None else received.weights

        return finish_copies

    def _soon(
        self, begin: Callable[[], Any], device: torch.device, previous_event: Event | None
    ) -> Callable[[], tuple[Any, Any]]:
        return self.seat.soon(self._beside.around(begin, device, previous_event))


def _carried(weights: Tensor) -> Tensor:
    """Kernels carry weights as float32, in which those of two bytes are exact. (Those of eight they refuse.)"""
    weights = weights.detach().contiguous()
    return weights.float() if weights.element_size() == 2 else weights
