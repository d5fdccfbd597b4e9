"""The naive version: rows go from each rank to each rank by a `Mover`, one copy for every rank that needs a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.agreement import counts_with_facts, refuse
from dualpipe_ref.comm.checks import (
    DTYPES,
    check_one,
    check_same_routing,
    check_shapes,
    checked,
    facts_of,
)
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.handle import Event, Handle, Sums
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.mover import Mover, Pending
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.started import Beside, arrived
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError


class Routes(NamedTuple):
    """`rows` are the places in this rank's tokens of all rows that it sent, ordered by destination; `sent` and `received`
    the number of rows for and from each rank."""

    rows: Tensor
    sent: list[int]
    received: list[int]


class OverMover:
    """One rank's end of the all-to-all with the rows moved by `mover`; sums are those of `reference` for "flat"."""

    def __init__(self, topology: Topology, experts: int, mover: Mover) -> None:
        if mover.ranks != topology.ranks:
            raise InputError(
                "the topology has as many ranks as there are processes",
                f"{topology.nodes} x {topology.gpus_per_node} for {mover.ranks}",
            )
        self.topology, self.experts, self.mover, self.rank = topology, experts, mover, mover.rank
        self.held = topology.experts_per_rank(experts)
        self._beside = Beside()
        # Types of outputs that all ranks are known to combine alike.
        self._combined: set[torch.dtype] = set()

    def start_dispatch(
        self, outgoing: Outgoing, handle: Handle | None, previous_event: Event | None
    ) -> Callable[[], tuple[Received, Handle]]:
        tokens, routing, scales = outgoing
        values = [one.detach() for one in (tokens, routing.weights, scales) if one is not None]

        def begin() -> tuple[Layout, Routes, list[Pending]]:
            if handle is None:
                layout, routes = self._routes(outgoing)
            else:
                check_shapes(outgoing)
                check_same_routing(routing.experts, self.experts, handle.layout)
                layout, routes = handle.layout, handle.route
            places = torch.cat((routing.experts[routes.rows], routes.rows.unsqueeze(1)), dim=1)
            return (
                layout,
                routes,
                self._send([places, *(one[routes.rows] for one in values)], routes),
            )

        begun = self.mover.soon(self._beside.around(begin, tokens.device, previous_event))

        def finish() -> tuple[Received, Handle]:
            (layout, routes, moving), event = begun()
            came = arrived(event, [one.wait() for one in moving])
            arrived(event, [routes.rows, layout.to_rank])
            received = self._received(came, routes)
            known = handle or Handle(layout, len(received.tokens), tokens.shape[1], routes)
            return received, known

        return finish

    def start_combine(
        self,
        outputs: Tensor,
        weights: Tensor | None,
        handle: Handle,
        previous_event: Event | None,
    ) -> Callable[[], Sums]:
        routes: Routes = handle.route
        values = [outputs] if weights is None else [outputs, weights]

        def begin() -> list[Pending]:
            self._agree_to_combine(outputs)
            back = Routes(routes.rows, routes.received, routes.sent)
            return self._send(values, back)

        begun = self.mover.soon(self._beside.around(begin, outputs.device, previous_event))

        def finish() -> Sums:
            moving, event = begun()
            came = arrived(event, [one.wait() for one in moving])
            sums = [_added(one, handle.tokens, routes) for one in came]
            return sums[0], sums[1] if len(sums) > 1 else None

        return finish

    def start_copies(
        self, values: Tensor, weights: Tensor | None, handle: Handle
    ) -> Callable[[], Sums]:
        routes: Routes = handle.route
        # Who has the experts is not kept from the dispatch, and few callers have weights here.
        sent = [values] if weights is None else [values, weights, handle.layout.routing]
        begun = self.mover.soon(
            self._beside.around(
                lambda: self._send([one[routes.rows] for one in sent], routes), values.device
            )
        )

        def finish() -> Sums:
            moving, event = begun()
            rows, *others = arrived(event, [one.wait() for one in moving])
            return rows, others[0] * self._is_here(others[1]) if others else None

        return finish

    def _routes(self, outgoing: Outgoing) -> tuple[Layout, Routes]:
        try:
            layout = checked(outgoing, self.topology, self.experts)
        except InputError as error:
            refuse(self.mover, error, outgoing.tokens.device)
            raise
        counts = layout.tokens_per_rank
        received = counts_with_facts(self.mover, counts, facts_of(outgoing, self.experts))
        rows = layout.to_rank.t().nonzero()[:, 1]  # by destination, then by place
        return layout, Routes(rows, counts.tolist(), received)

    def _agree_to_combine(self, outputs: Tensor) -> None:
        """The first time that outputs have this type, all ranks see that it is one; later steps cost nothing."""
        if outputs.dtype not in self._combined:
            number = DTYPES.index(outputs.dtype)
            told = self.mover.exchange_counts(
                torch.full((self.mover.ranks,), number, device=outputs.device)
            )
            types = [DTYPES[one] for one in told.tolist()]
            check_one("type of outputs", types, range(self.mover.ranks))
            self._combined.add(outputs.dtype)

    def _send(self, values: Sequence[Tensor], routes: Routes) -> list[Pending]:
        return [self.mover.exchange(one, routes.sent, routes.received) for one in values]

    def _is_here(self, experts: Tensor) -> Tensor:
        return (experts >= 0) & (experts // self.held == self.rank)

    def _received(self, came: Sequence[Tensor], routes: Routes) -> Received:
        places, tokens, weights, *scales = came
        experts, place = places[:, :-1], places[:, -1]
        origin = torch.repeat_interleave(
            torch.arange(self.mover.ranks, device=place.device),
            torch.tensor(routes.received, device=place.device),
        )
        here = self._is_here(experts)
        local = torch.where(here, experts - self.rank * self.held, -1)
        return Received(
            tokens,
            torch.stack((origin, place), dim=1),
            local,
            weights,
            torch.bincount(local[here], minlength=self.held),
            scales[0] if scales else None,
        )


def _added(rows: Tensor, tokens: int, routes: Routes) -> Tensor:
    """Rows ordered by the rank that they come from, added to their tokens rank after rank."""
    wide = torch.promote_types(rows.dtype, torch.float32)
    total = torch.zeros(tokens, *rows.shape[1:], dtype=wide, device=rows.device)
    parts = zip(routes.rows.split(routes.sent), rows.split(routes.sent), strict=True)
    for places, values in parts:
        total[places] += values.to(
            wide
        )  # a token goes to a rank once, so no place is added to twice
    return total.to(rows.dtype)
