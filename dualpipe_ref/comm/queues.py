"""Version 3 of the all-to-all: queues. Memory does not grow with the tokens; rings carry them, and credit holds senders back.

The roles are kernels of `kernels/queue_*.py`; their protocol is explained, run and searched in `protocol/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from torch import Tensor

from dualpipe_ref.comm.checks import Facts
from dualpipe_ref.comm.counts import counts_to_nodes, exchange_counts
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.calls import accepted, message_back, message_out
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
from dualpipe_ref.comm.kernels.notify import NotifyArea
from dualpipe_ref.comm.kernels.queue_combine import combine
from dualpipe_ref.comm.kernels.queue_dispatch import dispatch
from dualpipe_ref.comm.kernels.queue_heads import pre_pass
from dualpipe_ref.comm.kernels.queue_plan import META, QueuePlan
from dualpipe_ref.comm.kernels.queue_roles import ROLES
from dualpipe_ref.comm.kernels.queue_tables import Row
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queue_handle import QueueHandle, combine_rows, dispatch_row, handle_of
from dualpipe_ref.comm.queue_memory import QueueMemory
from dualpipe_ref.comm.queue_sizes import (
    QueueSizes,
    combine_warps,
    dispatch_warps,
    sizes_of,
)
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.schedule.errors import require_int

PRE_PASS_WARPS = 8


class Queues:
    """Dispatch and combine through queues, over any transport; an `exchange.Exchange`.

    Rings are for messages of `hidden` numbers of up to `number_bytes` bytes, and `experts_per_token` weights: all ranks give
    the same. `num_sms` blocks a rank run at once, two for each channel; `sizes` are those of the rings, the same in both
    phases or `QueueSizes`, else the usual ones. A wait of more than `seconds` raises `CommTimeout`; input and sizes that
    break a rule raise `InputError` before anything moves.

    >>> import torch
    >>> from dualpipe_ref.comm.routing import Routing
    >>> from dualpipe_ref.comm.topology import Topology
    >>> from dualpipe_ref.comm.transport.emulated import Emulated
    >>> queues = Queues(Emulated(Topology(2, 1)), hidden=4, experts_per_token=1, sizes=Sizes())
    >>> sent = [Outgoing(torch.full((1, 4), 5.0), Routing(torch.tensor([[1]]), torch.ones(1, 1)))] * 2
    >>> received, handles = zip(*queues.dispatch(sent, experts=2))
    >>> [len(one.tokens) for one in received], received[1].source.tolist()
    ([0, 2], [[0, 0], [1, 0]])
    >>> queues.combine([2 * one.tokens for one in received], handles)[0][0]
    tensor([[10., 10., 10., 10.]])
    """

    def __init__(
        self,
        transport: Transport,
        *,
        hidden: int,
        experts_per_token: int,
        most_tokens: int = 1 << 20,
        num_sms: int | None = None,
        sizes: Sizes | QueueSizes | None = None,
        number_bytes: int = 4,
        seconds: float = 100.0,
    ) -> None:
        self.topology, self.ranks = transport.topology, transport.ranks
        self.transport, self.seconds = transport, seconds
        self.room = Room(hidden, most_tokens, experts_per_token)
        check_room(self.room)
        require_int("number_bytes", number_bytes, 1)
        self.sizes = sizes_of(sizes, self.topology, num_sms)
        check_machine(transport, self.num_sms)
        row_bytes = rounded_up(hidden * number_bytes, 16)
        slot = Message(row_bytes, 0, experts_per_token, experts_per_token, META).size
        self.memory = QueueMemory(self.topology, self.sizes, slot)
        self.area = NotifyArea(self.memory.size, self.topology, self.channels, len(Facts._fields))
        self._heaps = transport.heaps(self.memory.size + self.area.size)

    @property
    def channels(self) -> int:
        """Independent pipelines of each rank."""
        return self.sizes.dispatch.channels

    @property
    def num_sms(self) -> int:
        """Blocks of each rank."""
        return 2 * self.channels

    def dispatch(
        self,
        outgoing: Sequence[Outgoing],
        experts: int,
        handles: Sequence[QueueHandle] | None = None,
    ) -> list[tuple[Received, QueueHandle]]:
        """Send each rank's tokens; see `exchange.Exchange`. With handles of the same routings, notify is skipped."""
        layouts, facts = accepted(outgoing, handles, self.transport, experts, self.room)
        held = self.topology.experts_per_rank(experts)
        message = message_out(outgoing[0], META, self.memory.slot)
        self._zero()
        known = self._handles(layouts, facts) if handles is None else list(handles)
        got = [
            empty_received(one, handle.received)
            for one, handle in zip(outgoing, known, strict=True)
        ]
        rows = [dispatch_row(*one) for one in zip(outgoing, known, got, strict=True)]
        warps = dispatch_warps(self.sizes.dispatch, self.topology)
        plan = self.memory.dispatch_plan(message, is_new=handles is None, experts_here=held)
        self._launch(dispatch, warps, rows, plan)
        return [(counted(one, held), handle) for one, handle in zip(got, known, strict=True)]

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[QueueHandle],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Add up what comes back of each token, inside each node and then at home; see `exchange.Exchange`."""
        check_combine(
            outputs, weights, [handle.received for handle in handles], self.transport, self.room
        )
        along: Sequence[Tensor | None] = weights or [None] * len(outputs)
        message = message_back(outputs, weights, self.memory.slot)
        rows = combine_rows(outputs, along, handles)
        plan = self.memory.combine_plan(message)
        self._launch(pre_pass, PRE_PASS_WARPS, rows, plan)
        self._zero()
        warps = combine_warps(self.sizes.combine, self.topology)
        self._launch(combine, warps, rows, plan, ELEMENTS[outputs[0].dtype])
        return [(row.out_tokens, row.out_weights) for row in rows]

    def _zero(self) -> None:
        """The words of both phases lie before the signals of notify, those before its records."""
        first = self.memory.words_at
        self.transport.zero(first, self.area.first + self.area.signal_bytes - first)

    def _handles(self, layouts: Sequence[Layout], facts: Sequence[Facts]) -> list[QueueHandle]:
        sent = [counts_to_nodes(layout, self.channels) for layout in layouts]
        got = exchange_counts(self.transport, self._heaps, self.area, sent, facts, self.seconds)
        return [handle_of(*one) for one in zip(layouts, got, strict=True)]

    def _launch(
        self,
        kernel: Callable[..., None],
        warps: int,
        rows: Sequence[Row],
        plan: dict[str, Any],
        element: ModuleType | None = None,
    ) -> None:
        launch(
            self.transport,
            kernel,
            QueuePlan,
            blocks=self.num_sms,
            threads=warps * self.transport.lanes,
            seconds=self.seconds,
            roles=ROLES,
            rows=rows,
            element=element,
            **plan,
        )
