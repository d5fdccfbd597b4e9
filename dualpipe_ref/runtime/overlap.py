"""Run a forward and a backward chunk together, part by part, in an order of `simulate.lanes`.

The computations run one after another, as the order's computation lane has them. An exchange begins as soon as the
computation before it is done, and is waited for where a computation needs it; meanwhile it is in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from dualpipe_ref.model.parts import Exchange, LayerParts
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.schedule import InputError, OpKind
from dualpipe_ref.simulate.lanes import (
    Lane,
    Part,
    Piece,
    backward_chain,
    forward_chain,
    needs,
    weight_piece,
)

Order = Mapping[Lane, list[Piece]]
# The order of a pair by the number of layers that take turns.
OrderOf = Callable[[int], Order]
# Around each computation of a pair, for who wants to know when it ran.
Watch = Callable[[Piece], AbstractContextManager[object]]


def unwatched(_: Piece) -> AbstractContextManager[object]:
    """Nobody wants to know."""
    return nullcontext()


def overlapped_forward_backward(
    forward: ChunkRun,
    backward: ChunkRun,
    gradient: Tensor,
    order_of: OrderOf,
    watch: Watch = unwatched,
) -> None:
    """The whole forward of one chunk and the whole backward of another; `gradient` is that of what `backward` left.

    Where one has more layers than the other, they run by themselves: the forward's last, the backward's first. So do
    the embedding and the loss.
    """
    _around(forward, backward, gradient, lambda pair: pair.run(order_of(pair.layers)), watch)


def serial_forward_backward(
    forward: ChunkRun, backward: ChunkRun, gradient: Tensor, watch: Watch = unwatched
) -> None:
    """The very same parts, but none beside another: the forward, then the backward with each W behind its I."""
    _around(forward, backward, gradient, _Pair.run_serially, watch)


def serial_order(layers: int) -> list[Piece]:
    """The pieces of `serial_forward_backward`.

    >>> [f"{piece.part}({piece.kind})" for piece in serial_order(1)][4:]
    ['combine(I)', 'MLP(I)', 'MLP(W)', 'dispatch(I)', 'attention(I)', 'attention(W)']
    """
    order = forward_chain(layers)
    for piece in backward_chain(layers):
        weights = weight_piece(piece)
        order += [piece, weights] if weights else [piece]
    return order


def _around(
    forward: ChunkRun,
    backward: ChunkRun,
    gradient: Tensor,
    run: Callable[[_Pair], None],
    watch: Watch,
) -> None:
    layers = min(len(forward.parts.layers), len(backward.parts.layers))
    backward.judge_back(gradient, split=False)
    if forward.parts.before:
        forward.compute(forward.parts.before)
    if layers:
        run(_Pair(forward, backward, layers, watch))
    for layer in forward.parts.layers[layers:]:
        forward.forward_layer(layer)
    forward.judge()
    backward.backward(split=False)
    backward.weights()


class _Pair:
    """The first `layers` layers of a forward beside the last ones of a backward."""

    def __init__(self, forward: ChunkRun, backward: ChunkRun, layers: int, watch: Watch) -> None:
        self.forward, self.backward, self.layers, self.watch = forward, backward, layers, watch
        self.skipped = len(backward.parts.layers) - layers
        self.done: set[Piece] = set()
        self.numbers: dict[Piece, int] = {}

    def run(self, order: Order) -> None:
        wanted = needs(self.layers)
        network = deque(order[Lane.NETWORK])
        for piece in order[Lane.COMPUTE]:
            self._start_ready(network, wanted)
            before = wanted[piece]
            if before is not None and before.lane is Lane.NETWORK:
                if before in network:
                    raise InputError(
                        "the lanes of a pair must not wait for each other in a ring",
                        f"{piece}, which waits for the {before}, behind the {network[0]}",
                    )
                self._finish(before)
            self._compute(piece)
        self._start_ready(network, wanted)
        self._finish(
            Piece(Part.COMBINE, OpKind.F, self.layers - 1)
        )  # nothing here computes with it

    def run_serially(self) -> None:
        for piece in serial_order(self.layers):
            if piece.lane is Lane.COMPUTE:
                self._compute(piece)
            else:
                self._start(piece)
                self._finish(piece)

    def _start_ready(self, network: deque[Piece], wanted: Mapping[Piece, Piece | None]) -> None:
        """Begin the exchanges, in their order, whose values are there."""
        while network and (wanted[network[0]] is None or wanted[network[0]] in self.done):
            self._start(network.popleft())

    def _start(self, piece: Piece) -> None:
        part = self._exchange(piece)
        if part is None:
            return
        if piece.kind is OpKind.F:
            self.forward.start(part)
        else:
            self.backward.start_back()

    def _finish(self, piece: Piece) -> None:
        if self._exchange(piece) is None or piece in self.done:
            return
        if piece.kind is OpKind.F:
            self.forward.finish()
        else:
            self.backward.finish_back()
        self.done.add(piece)

    def _compute(self, piece: Piece) -> None:
        with self.watch(piece):
            if piece.kind is OpKind.F:
                layer = self._layer(piece)
                self.forward.compute(layer.attention if piece.part is Part.ATTENTION else layer.mlp)
            elif piece.kind is OpKind.I:
                self.numbers[piece] = self.backward.compute_back(split=True)
            else:
                self.backward.weights(self.numbers[piece._replace(kind=OpKind.I)])
        self.done.add(piece)

    def _exchange(self, piece: Piece) -> Exchange | None:
        layer = self._layer(piece)
        return layer.dispatch if piece.part is Part.DISPATCH else layer.combine

    def _layer(self, piece: Piece) -> LayerParts:
        if piece.kind is OpKind.F:
            return self.forward.parts.layers[piece.layer]
        return self.backward.parts.layers[self.skipped + piece.layer]
