"""The public API of the all-to-all: dispatch tokens to the ranks of their experts, combine what comes back."""

from __future__ import annotations

from typing import TypeAlias, overload

from torch import Tensor

from dualpipe_ref.comm.checks import check_returned
from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.float8 import from_float8, to_float8
from dualpipe_ref.comm.gradients import Combined, Dispatched
from dualpipe_ref.comm.handle import End, Event, Handle
from dualpipe_ref.comm.layout import Layout, layout_of
from dualpipe_ref.comm.mover import Mover
from dualpipe_ref.comm.over_exchange import OverExchange
from dualpipe_ref.comm.over_mover import OverMover
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.started import Started
from dualpipe_ref.comm.together import Seat, seat_of
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

# [T, H], or FP8 with its scales [T, S].
Tokens: TypeAlias = Tensor | tuple[Tensor, Tensor]


class Buffer:
    """One rank's end of the all-to-all over `topology`, for E `experts`.

    `over` says which version moves the rows: a `Mover` (the naive one), an `Exchange` that has one rank in this process
    (direct, queues), or a rank's seat at a `together.Meeting`. `connect.connected` makes one for a process
    group.

    All ranks call `dispatch` and `combine` in the same order. What arrives, and each bit of every sum, is what
    `reference` says: for "flat" with a Mover, for "two levels" with kernels. Each `start_` only begins; with a
    `background` thread (see the versions), the caller computes until it calls `wait()`.

    For those who know DeepEP's `Buffer` or Megatron's token dispatcher:

    ====================================  ========================================================================
    there                                 here
    ====================================  ========================================================================
    `x`, or `(x, x_scales)`               `tokens` [T, H], or `(tokens, scales)`; or `float8=True`
    `topk_idx`, `topk_weights`            `Routing(experts, weights)`, both [T, K]; experts int64, -1 for none
    `get_dispatch_layout`                 `layout`; `dispatch` does without
    `handle`                              `Handle`, the same one for combine and for later dispatches
    `recv_topk_idx`, `recv_topk_weights`  `Received.experts`, `Received.weights`
    `num_recv_tokens_per_expert_list`     `Received.tokens_per_expert`
    `expert_alignment`, permute           `permute.expert_order(received.experts, buffer.experts_here, alignment)`
    `combined_topk_weights`               second result of `combine` with `weights`
    `async_finish=True`                   `start_dispatch`, `start_combine`
    `event.current_stream_wait()`         `Started.wait()`
    `previous_event`                      `previous_event`; without, all that the current stream was given
    `num_sms`                             an argument of `connect.connected`, `Direct` and `Queues`
    ====================================  ========================================================================

    >>> import torch
    >>> from dualpipe_ref.comm.mover import Alone
    >>> buffer = Buffer(Topology(1, 1), 2, Alone())
    >>> routing = Routing(torch.tensor([[1], [0]]), torch.tensor([[0.5], [1.0]]))
    >>> received, handle = buffer.dispatch(torch.tensor([[2.0], [3.0]]), routing)
    >>> buffer.combine(received.tokens * received.weights, handle)
    tensor([[1.],
            [3.]])
    """

    def __init__(self, topology: Topology, experts: int, over: Mover | Exchange | Seat) -> None:
        self.topology, self.experts = topology, experts
        self.experts_here = topology.experts_per_rank(experts)
        self._end: End = (
            OverMover(topology, experts, over)
            if isinstance(over, Mover)
            else OverExchange(topology, experts, seat_of(over))
        )
        self.rank = self._end.rank

    def layout(self, routing: Routing) -> Layout:
        """How many tokens go to each rank, node and expert. Raises `InputError` for experts that there are not."""
        return layout_of(routing.experts, self.topology, self.experts)

    def dispatch(
        self,
        tokens: Tokens,
        routing: Routing,
        handle: Handle | None = None,
        *,
        float8: bool = False,
    ) -> tuple[Received, Handle]:
        """Send tokens [T, H] to the ranks of their experts; see `start_dispatch`."""
        return self.start_dispatch(tokens, routing, handle, float8=float8).wait()

    def start_dispatch(
        self,
        tokens: Tokens,
        routing: Routing,
        handle: Handle | None = None,
        *,
        float8: bool = False,
        previous_event: Event | None = None,
    ) -> Started[tuple[Received, Handle]]:
        """Begin a dispatch. With the `handle` of an earlier one of the same routing no counts are exchanged.

        `(tokens, scales)` in FP8 come out as such. With `float8`, tokens of another type travel in FP8 and come out in
        their own type, rounded. Gradients flow back to `tokens`, in their own type and not in FP8, and to
        `routing.weights`; those of tokens that are given in FP8 end here.

        Raises `InputError`, here or in `wait()`, where the input does not fit or ranks disagree: on all ranks, before
        a token moves. (With a `handle`, ranks that only exchange rows do not hear of another's error.)
        """
        plain, scales = tokens if isinstance(tokens, tuple) else (tokens, None)
        sent = Outgoing(plain, routing, scales)
        if float8:
            sent = Outgoing(*_packed(plain, routing, scales))
        finish = self._end.start_dispatch(sent, handle, previous_event)

        def finished() -> tuple[Received, Handle]:
            came, known = finish()
            if float8 and came.scales is not None:
                unpacked = from_float8(came.tokens, came.scales, plain.dtype)
                came = came._replace(tokens=unpacked, scales=None)
            rows, weights = Dispatched.apply(plain, routing.weights, came, self._end, known)
            here = came.experts >= 0
            return came._replace(tokens=rows, weights=weights * here), known

        return Started(finished)

    def start_dispatch_back(
        self, tokens: Tensor, weights: Tensor, handle: Handle
    ) -> Started[tuple[Tensor, Tensor]]:
        """Begin the backward of a dispatch: gradients [M, H] and [M, K] become those of the sent tokens and weights."""
        return Started(self._end.start_combine(tokens, weights, handle, None))

    @overload
    def combine(self, outputs: Tensor, handle: Handle) -> Tensor: ...
    @overload
    def combine(
        self, outputs: Tensor, handle: Handle, weights: Tensor
    ) -> tuple[Tensor, Tensor]: ...
    def combine(
        self, outputs: Tensor, handle: Handle, weights: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Bring outputs [M, H] back to the ranks of their tokens and add them up there: [T, H].

        With `weights` [M, K], 0 for experts elsewhere, also those, each from the rank of its expert: [T, K].
        """
        if weights is None:
            return self.start_combine(outputs, handle).wait()
        return self.start_combine_with_weights(outputs, weights, handle).wait()

    def start_combine(
        self, outputs: Tensor, handle: Handle, *, previous_event: Event | None = None
    ) -> Started[Tensor]:
        """Begin a combine. Gradients flow back to `outputs`. Raises `InputError` where they are not what was received."""
        check_returned(outputs, None, handle.received, handle.hidden)
        finish = self._end.start_combine(outputs.detach(), None, handle, previous_event)
        return Started(lambda: Combined.apply(outputs, None, finish(), self._end, handle)[0])

    def start_combine_with_weights(
        self,
        outputs: Tensor,
        weights: Tensor,
        handle: Handle,
        *,
        previous_event: Event | None = None,
    ) -> Started[tuple[Tensor, Tensor]]:
        """The same, and weights [M, K] that are 0 for experts elsewhere go along; gradients flow back to both."""
        check_returned(outputs, weights, handle.received, handle.hidden)
        finish = self._end.start_combine(outputs.detach(), weights.detach(), handle, previous_event)
        return Started(lambda: Combined.apply(outputs, weights, finish(), self._end, handle))

    def start_combine_back(self, gradient: Tensor, handle: Handle) -> Started[Tensor]:
        """Begin the backward of a combine: the gradient [T, H] of each sum goes to all outputs in it, [M, H]."""
        finish = self._end.start_copies(gradient, None, handle)
        return Started(lambda: finish()[0])


def _packed(
    tokens: Tensor, routing: Routing, scales: Tensor | None
) -> tuple[Tensor, Routing, Tensor]:
    if scales is not None:
        raise InputError("tokens with scales are in FP8 already", "float8 = True", "float8 = False")
    values, scales = to_float8(tokens.detach())
    return values, routing, scales
