"""The public API of the all-to-all: dispatch tokens to the ranks of their experts, combine what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dualpipe_ref.comm.layout import Layout, layout_of
from dualpipe_ref.comm.mover import Mover, Pending
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Handle:
    """Who got what, as the sender and the receiver of one dispatch know it; its combine needs nothing else.

    `rows` are the places in this rank's tokens of all rows that it sent, ordered by destination;
    `sent` and `received` the number of rows for and from each rank.
    """

    layout: Layout
    rows: Tensor
    sent: list[int]
    received: list[int]

    @property
    def tokens(self) -> int:
        """T of this rank."""
        return len(self.layout.routing)


class Started(Generic[Result]):
    """A dispatch or combine that is on its way; computation may run meanwhile."""

    def __init__(self, finish: Callable[[], Result]) -> None:
        self._finish: Callable[[], Result] | None = finish
        self._result: Result

    def wait(self) -> Result:
        """The result, as soon as it is here."""
        if self._finish:
            self._result = self._finish()
            self._finish = None
        return self._result


class Buffer:
    """One rank's end of the all-to-all over `topology`, with the rows moved by `mover`.

    All ranks call `dispatch` and `combine` in the same order. What arrives, and each bit of every sum, is what
    `reference` says for "flat".

    >>> from dualpipe_ref.comm.mover import Alone
    >>> buffer = Buffer(Topology(1, 1), experts=2, mover=Alone())
    >>> routing = Routing(torch.tensor([[1], [0]]), torch.tensor([[0.5], [1.0]]))
    >>> received, handle = buffer.dispatch(torch.tensor([[2.0], [3.0]]), routing)
    >>> buffer.combine(received.tokens * received.weights, handle)
    tensor([[1.],
            [3.]])
    """

    def __init__(self, topology: Topology, experts: int, mover: Mover) -> None:
        if mover.ranks != topology.ranks:
            raise InputError(
                "the topology has as many ranks as there are processes",
                f"{topology.nodes} x {topology.gpus_per_node} for {mover.ranks}",
            )
        self.topology, self.experts, self.mover = topology, experts, mover
        self.experts_here = topology.experts_per_rank(experts)

    def dispatch(
        self, tokens: Tensor, routing: Routing, handle: Handle | None = None
    ) -> tuple[Received, Handle]:
        """Send tokens [T, H] to the ranks of their experts; see `start_dispatch`."""
        return self.start_dispatch(tokens, routing, handle).wait()

    def start_dispatch(
        self, tokens: Tensor, routing: Routing, handle: Handle | None = None
    ) -> Started[tuple[Received, Handle]]:
        """Begin a dispatch. With the `handle` of an earlier one of the same routing no counts are exchanged.

        Gradients flow back to `tokens` and to `routing.weights`. Raises `InputError` where they do not fit.
        """
        _check(tokens, routing)
        values = (tokens, routing.weights)

        def begin() -> tuple[Handle, Pending, list[Pending]]:
            known = handle or self._handle(routing)
            rows = known.rows
            places = torch.cat((routing.experts[rows], rows.unsqueeze(1)), dim=1)
            moving = [
                self.mover.exchange(one, known.sent, known.received)
                for one in (places, *(value.detach()[rows] for value in values))
            ]
            return known, moving[0], moving[1:]

        begun = self.mover.soon(begin)

        def finish() -> tuple[Received, Handle]:
            known, places, rows = begun()
            rows_of_tokens, rows_of_weights = _Dispatched.apply(*values, rows, self, known)
            return self._received(places, rows_of_tokens, rows_of_weights, known), known

        return Started(finish)

    def start_dispatch_back(
        self, tokens: Tensor, weights: Tensor, handle: Handle
    ) -> Started[tuple[Tensor, Tensor]]:
        """Begin the backward of a dispatch: gradients [M, H] and [M, K] become those of the sent tokens and weights."""
        sums = self._start_sums((tokens, weights), handle)
        return Started(lambda: (sums[0].wait(), sums[1].wait()))

    def combine(self, outputs: Tensor, handle: Handle) -> Tensor:
        """Bring outputs [M, H] back to the ranks of their tokens and add them up there: [T, H]."""
        return self.start_combine(outputs, handle).wait()

    def start_combine(self, outputs: Tensor, handle: Handle) -> Started[Tensor]:
        """Begin a combine. Gradients flow back to `outputs`."""
        if len(outputs) != sum(handle.received):
            raise InputError(
                "there is one output for each received token",
                f"{len(outputs)}",
                str(sum(handle.received)),
            )
        (sums,) = self._start_sums((outputs.detach(),), handle)
        return Started(lambda: _Combined.apply(outputs, sums, self, handle))

    def start_combine_back(self, gradient: Tensor, handle: Handle) -> Started[Tensor]:
        """Begin the backward of a combine: the gradient [T, H] of each sum goes to all outputs in it, [M, H]."""
        begun = self.mover.soon(
            lambda: self.mover.exchange(gradient[handle.rows], handle.sent, handle.received)
        )
        return Started(lambda: begun().wait())

    def _start_sums(self, values: Sequence[Tensor], handle: Handle) -> list[Started[Tensor]]:
        """Rows on their way back to where they came from, there to be added up."""
        begun = self.mover.soon(
            lambda: [self.mover.exchange(one, handle.received, handle.sent) for one in values]
        )
        return [
            Started(lambda place=place: _added(begun()[place].wait(), handle))  # type: ignore[misc]
            for place in range(len(values))
        ]

    def _handle(self, routing: Routing) -> Handle:
        layout = layout_of(routing.experts, self.topology, self.experts)
        received = self.mover.exchange_counts(layout.tokens_per_rank)
        rows = layout.to_rank.t().nonzero()[:, 1]  # by destination, then by place
        return Handle(layout, rows, layout.tokens_per_rank.tolist(), received.tolist())

    def _received(
        self, moving: Pending, tokens: Tensor, weights: Tensor, handle: Handle
    ) -> Received:
        places = moving.wait()
        experts, place = places[:, :-1], places[:, -1]
        origin = torch.repeat_interleave(
            torch.arange(self.mover.ranks, device=place.device),
            torch.tensor(handle.received, device=place.device),
        )
        here = (experts >= 0) & (experts // self.experts_here == self.mover.rank)
        local = torch.where(here, experts - self.mover.rank * self.experts_here, -1)
        return Received(
            tokens,
            torch.stack((origin, place), dim=1),
            local,
            weights * here,
            torch.bincount(local[here], minlength=self.experts_here),
        )


def _check(tokens: Tensor, routing: Routing) -> None:
    shapes = [tuple(one.shape) for one in (tokens, *routing)]
    if tokens.dim() != 2 or shapes[1] != shapes[2] or len(tokens) != len(routing.experts):
        raise InputError(
            "tokens are [T, H], experts and weights [T, K]", ", ".join(map(str, shapes))
        )


def _added(rows: Tensor, handle: Handle) -> Tensor:
    """Rows ordered by the rank that they come from, added to their tokens rank after rank."""
    wide = torch.promote_types(rows.dtype, torch.float32)
    total = torch.zeros(handle.tokens, *rows.shape[1:], dtype=wide, device=rows.device)
    parts = zip(handle.rows.split(handle.sent), rows.split(handle.sent), strict=True)
    for (
        places,
        values,
    ) in parts:  # a token goes to a rank once, so no place is added to twice in one
        total[places] += values.to(wide)
    return total.to(rows.dtype)


class _Dispatched(Function):
    """The received rows of tokens and weights. Backward, gradients are combined: the sum over a token's copies.

    Both in one, so that all ranks send the gradients in one order, whether or not they use both.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        weights: Tensor,
        moving: list[Pending],
        buffer: Buffer,
        handle: Handle,
    ) -> tuple[Tensor, Tensor]:
        ctx.buffer, ctx.handle = buffer, handle
        return moving[0].wait(), moving[1].wait()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tokens: Tensor, weights: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.buffer.start_dispatch_back(tokens, weights, ctx.handle).wait(), None, None, None


class _Combined(Function):
    """The sums. Backward, gradients are dispatched: each copy gets its token's."""

    @staticmethod
    def forward(
        ctx: Any, outputs: Tensor, sums: Started[Tensor], buffer: Buffer, handle: Handle
    ) -> Tensor:
        ctx.buffer, ctx.handle = buffer, handle
        return sums.wait()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.buffer.start_combine_back(gradient, ctx.handle).wait(), None, None, None
