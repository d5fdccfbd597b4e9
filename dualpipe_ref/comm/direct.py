"""Version 2 of the all-to-all: direct slots. Buffers for the worst case, computed addresses, no credit, no deadlock.

The way that DeepSeek recommends to newcomers and took itself in DeepEP's second version: memory for simplicity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor

from dualpipe_ref.comm.checks import Facts
from dualpipe_ref.comm.counts import Counts, counts_to_nodes, exchange_counts, starts
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.calls import accepted, message_back, message_out
from dualpipe_ref.comm.kernels.direct_combine import combine
from dualpipe_ref.comm.kernels.direct_dispatch import dispatch
from dualpipe_ref.comm.kernels.direct_plan import (
    ROLES,
    DirectHeap,
    DirectPlan,
    Returned,
    Route,
    Warps,
)
from dualpipe_ref.comm.kernels.elements import ELEMENTS
from dualpipe_ref.comm.kernels.host import (
    Room,
    check_combine,
    check_machine,
    check_room,
    counted,
    empty_received,
    launch,
)
from dualpipe_ref.comm.kernels.message import Message, rounded_up
from dualpipe_ref.comm.kernels.packing import Inputs, Outputs
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.schedule.errors import InputError, require_int

# A thread of 16 warps has up to 128 registers; combine takes more than half of them (`dualpipe-ref bench kernels`).
MOST_WARPS = 16
DISPATCH_WARPS, COMBINE_WARPS = Warps(4, 6, 6), Warps(5, 7, 4)


@dataclass(frozen=True, eq=False)
class DirectHandle:
    """What one rank keeps of a dispatch: its `layout`, its `route`, and how many tokens it `received`."""

    layout: Layout
    route: Route
    received: int


class Direct:
    """Dispatch and combine with direct slots, over any transport; an `exchange.Exchange`.

    The heap of each rank has room for `most_tokens` messages from every rank, of `hidden` numbers of up to `number_bytes`
    bytes with `scales_per_token`, and `experts_per_token` weights: all ranks give the same. (Rows of FP8 leave room for
    their scales where those of combine are larger.) `num_sms` blocks a rank run at once, of `dispatch_warps` and
    `combine_warps`; every warp that sends is a channel. `run` messages travel in one put. A wait of more than `seconds`
    raises `CommTimeout`; input that breaks a rule raises `InputError` before anything moves.

    >>> import torch
    >>> from dualpipe_ref.comm.routing import Routing
    >>> from dualpipe_ref.comm.topology import Topology
    >>> from dualpipe_ref.comm.transport.emulated import Emulated
    >>> transport = Emulated(Topology(nodes=2, gpus_per_node=1))
    >>> direct = Direct(transport, hidden=4, most_tokens=2, experts_per_token=2, num_sms=1)
    >>> routing = Routing(torch.tensor([[1, 0]]), torch.tensor([[0.75, 0.25]]))
    >>> (first, handle), (second, other) = direct.dispatch([Outgoing(torch.ones(1, 4), routing)] * 2, experts=2)
    >>> second.source.tolist(), second.weights.tolist()
    ([[0, 0], [1, 0]], [[0.75, 0.0], [0.75, 0.0]])
    >>> made = [one.tokens * one.weights.sum(dim=1, keepdim=True) for one in (first, second)]
    >>> direct.combine(made, [handle, other])[0][0]
    tensor([[1., 1., 1., 1.]])
    """

    def __init__(
        self,
        transport: Transport,
        *,
        hidden: int,
        most_tokens: int,
        experts_per_token: int,
        num_sms: int = 20,
        number_bytes: int = 4,
        scales_per_token: int = 0,
        dispatch_warps: Warps = DISPATCH_WARPS,
        combine_warps: Warps = COMBINE_WARPS,
        run: int = 4,
        seconds: float = 100.0,
    ) -> None:
        self.room = Room(hidden, most_tokens, experts_per_token)
        check_room(self.room)
        check_machine(transport, num_sms)
        _check_sizes(run, number_bytes, scales_per_token, seconds)
        _check_warps(dispatch_warps, combine_warps)
        self.transport, self.topology, self.ranks = (
            transport,
            transport.topology,
            transport.ranks,
        )
        self.num_sms, self.run, self.seconds = num_sms, run, seconds
        self.dispatch_warps, self.combine_warps = dispatch_warps, combine_warps
        row_bytes = rounded_up(hidden * number_bytes, 16)
        per_token = experts_per_token
        slot = Message(row_bytes, scales_per_token, per_token, per_token, self._meta).size
        channels = num_sms * dispatch_warps.first
        self.heap = DirectHeap(self.topology, channels, most_tokens, slot, len(Facts._fields))
        self._heaps = transport.heaps(self.heap.size)

    def dispatch(
        self,
        outgoing: Sequence[Outgoing],
        experts: int,
        handles: Sequence[DirectHandle] | None = None,
    ) -> list[tuple[Received, DirectHandle]]:
        """Send each rank's tokens; see `exchange.Exchange`. With handles of the same routings, notify is skipped."""
        layouts, facts = accepted(outgoing, handles, self.transport, experts, self.room)
        held = self.topology.experts_per_rank(experts)
        message = message_out(outgoing[0], self._meta, self.heap.slot)
        self.transport.zero(0, self.heap.zeroed)
        known = self._handles(layouts, facts) if handles is None else list(handles)
        got = [
            empty_received(one, handle.received)
            for one, handle in zip(outgoing, known, strict=True)
        ]
        fields = [(*_inputs(one), *_outputs(room)) for one, room in zip(outgoing, got, strict=True)]
        self._launch(dispatch, self.dispatch_warps, message, known, fields, held)
        return [(counted(one, held), handle) for one, handle in zip(got, known, strict=True)]

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[DirectHandle],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Add up what comes back of each token, inside each node and then at home; see `exchange.Exchange`."""
        check_combine(
            outputs, weights, [handle.received for handle in handles], self.transport, self.room
        )
        along: Sequence[Tensor | None] = weights or [None] * len(outputs)
        message = message_back(outputs, weights, self.heap.slot)
        fields = [
            Returned(one, values, _empty(one, handle), _empty(values, handle))
            for one, values, handle in zip(outputs, along, handles, strict=True)
        ]
        self.transport.zero(0, self.heap.zeroed)
        element = ELEMENTS[outputs[0].dtype]
        self._launch(combine, self.combine_warps, message, handles, fields, 0, element)
        return [(row.sums, row.summed_weights) for row in fields]

    @property
    def _meta(self) -> int:
        """Words of a message of dispatch: the token, and its place for each GPU of the node."""
        return 1 + self.topology.gpus_per_node

    def _handles(self, layouts: Sequence[Layout], facts: Sequence[Facts]) -> list[DirectHandle]:
        sent = [counts_to_nodes(layout, self.heap.channels) for layout in layouts]
        got = exchange_counts(
            self.transport, self._heaps, self.heap.area, sent, facts, self.seconds
        )
        return [
            DirectHandle(layout, _route(layout, counts), counts.received)
            for layout, counts in zip(layouts, got, strict=True)
        ]

    def _launch(
        self,
        kernel: Callable[..., None],
        warps: Warps,
        message: Message,
        handles: Sequence[DirectHandle],
        fields: Sequence[tuple[Any, ...]],
        experts_here: int,
        element: ModuleType | None = None,
    ) -> None:
        launch(
            self.transport,
            kernel,
            DirectPlan,
            blocks=self.num_sms,
            threads=warps.total * self.transport.lanes,
            seconds=self.seconds,
            roles=ROLES,
            rows=[(*one.route, *row) for one, row in zip(handles, fields, strict=True)],
            element=element,
            channels=self.heap.channels,
            most_tokens=self.room.most_tokens,
            run=self.run,
            experts_here=experts_here,
            warps=warps,
            message=message.parts(),
            words=self.heap.words(),
        )


def _check_sizes(run: int, number_bytes: int, scales: int, seconds: float) -> None:
    require_int("run", run, 1)
    require_int("number_bytes", number_bytes, 1)
    require_int("scales_per_token", scales, 0)
    if not seconds > 0:
        raise InputError("a wait takes time", f"seconds = {seconds}", "seconds = 100")


def _check_warps(*warps: Warps) -> None:
    for one in warps:
        for value in one:
            require_int("warps of a role", value, 1)
        if one.total > MOST_WARPS:
            raise InputError(
                f"a block has up to {MOST_WARPS} warps", f"{one.total} warps", str(MOST_WARPS)
            )


def _inputs(one: Outgoing) -> Inputs:
    return Inputs(one.tokens, one.scales, one.routing.experts, one.routing.weights)


def _outputs(one: Received) -> Outputs:
    return Outputs(one.tokens, one.scales, one.experts, one.weights, one.source)


def _empty(one: Tensor | None, handle: DirectHandle) -> Tensor | None:
    """Room for the sums at home of such rows."""
    return None if one is None else one.new_empty(handle.route.tokens, one.shape[1])


def _route(layout: Layout, counts: Counts) -> Route:
    """All that follows from the counts: where each channel and each source begins."""
    per_node = counts.on_rail[:, :, -1].sum(dim=1)
    per_rank = counts.from_rank.sum(dim=1)
    return Route(
        node_places=layout.places_in_node,
        rank_places=layout.places_in_rank,
        tokens=len(layout.routing),
        sent_counts=counts.to_node,
        sent_starts=starts(counts.to_node),
        rail_counts=counts.on_rail,
        rail_starts=starts(counts.on_rail),
        rail_rows=per_node.cumsum(dim=0) - per_node,
        rank_counts=counts.from_rank,
        rank_starts=starts(counts.from_rank),
        rank_rows=per_rank.cumsum(dim=0) - per_rank,
        forwarded=per_node.new_empty(counts.forwarded, layout.topology.gpus_per_node),
    )
