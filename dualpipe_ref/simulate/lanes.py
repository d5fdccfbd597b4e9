"""The two lanes of an overlapped pair: a forward and a backward chunk that share computation and network.

Each layer of a chunk has four parts (DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1, figure 4): attention and
MLP compute, dispatch and combine are all-to-alls. Forward: attention, dispatch, MLP, combine. Backward, through the
layers in reverse: combine, MLP, dispatch, attention, where MLP and attention each leave a weight gradient that nobody
waits for. A part on one lane can run beside one on the other; two on the same lane cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number, require_positive


class Part(StrEnum):
    """The four parts of a layer."""

    ATTENTION = "attention"
    DISPATCH = "dispatch"
    MLP = "MLP"
    COMBINE = "combine"


class Lane(StrEnum):
    """What a part occupies: the SMs that compute, or the network (and the SMs that serve it)."""

    COMPUTE = "computation"
    NETWORK = "communication"


FORWARD = (Part.ATTENTION, Part.DISPATCH, Part.MLP, Part.COMBINE)
BACKWARD = (Part.COMBINE, Part.MLP, Part.DISPATCH, Part.ATTENTION)


class Piece(NamedTuple):
    """One part of one layer of one chunk: its forward (F), its backward for the input (I) or for the weights (W)."""

    part: Part
    kind: OpKind
    layer: int

    @property
    def lane(self) -> Lane:
        return Lane.NETWORK if self.part in (Part.DISPATCH, Part.COMBINE) else Lane.COMPUTE

    def __str__(self) -> str:
        return f"{self.part}({self.kind}) of layer {self.layer}"


class PieceTimes(Protocol):
    """What says how long a piece takes: `LaneCosts`, or times that differ from layer to layer."""

    def of(self, piece: Piece) -> Number: ...


@dataclass(frozen=True)
class LaneCosts:
    """How long each part takes, in any one unit.

    Backward parts take what their forward takes unless given; weight gradients exist for `mlp` and `attention` only.

    >>> LaneCosts(mlp=2).of(Piece(Part.MLP, OpKind.W, 0)), LaneCosts(mlp=2, mlp_weight=1).of(Piece(Part.MLP, OpKind.W, 0))
    (2, 1)
    """

    attention: Number = 1
    dispatch: Number = 1
    mlp: Number = 1
    combine: Number = 1
    attention_input: Number | None = None
    attention_weight: Number | None = None
    mlp_input: Number | None = None
    mlp_weight: Number | None = None
    dispatch_back: Number | None = None
    combine_back: Number | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                require_positive(name, value)

    def of(self, piece: Piece) -> Number:
        """The duration of a piece."""
        name = piece.part.lower()
        forward: Number = getattr(self, name)
        if piece.kind is OpKind.F:
            return forward
        back = f"{name}_back"
        if piece.lane is Lane.COMPUTE:
            back = f"{name}_{'input' if piece.kind is OpKind.I else 'weight'}"
        given: Number | None = getattr(self, back)
        return forward if given is None else given


def forward_chain(layers: int) -> list[Piece]:
    """The forward's pieces; each needs the one before it.

    >>> [str(piece.part) for piece in forward_chain(1)]
    ['attention', 'dispatch', 'MLP', 'combine']
    """
    require_int("layers", layers, 1)
    return [Piece(part, OpKind.F, layer) for layer in range(layers) for part in FORWARD]


def backward_chain(layers: int) -> list[Piece]:
    """The backward's pieces that wait for each other, last layer first; weight gradients stand beside it."""
    require_int("layers", layers, 1)
    return [Piece(part, OpKind.I, layer) for layer in reversed(range(layers)) for part in BACKWARD]


def weight_piece(piece: Piece) -> Piece | None:
    """The weight gradient that this backward piece makes possible, if it has one.

    >>> print(weight_piece(Piece(Part.MLP, OpKind.I, 2)))
    MLP(W) of layer 2
    """
    if piece.kind is OpKind.I and piece.lane is Lane.COMPUTE:
        return piece._replace(kind=OpKind.W)
    return None


def needs(layers: int) -> dict[Piece, Piece | None]:
    """Every piece of the pair, with the one that it waits for."""
    found: dict[Piece, Piece | None] = {}
    for chain in (forward_chain(layers), backward_chain(layers)):
        before: Piece | None = None
        for piece in chain:
            found[piece] = before
            before = piece
            if weights := weight_piece(piece):
                found[weights] = piece
    return found


Order = Mapping[Lane, Sequence[Piece]]


@dataclass(frozen=True)
class PairRun:
    """When each piece of a pair ran."""

    spans: Mapping[Piece, tuple[Number, Number]]

    @property
    def length(self) -> Number:
        """From the first start to the last end."""
        return max(end for _, end in self.spans.values())

    def busy(self, lane: Lane) -> Number:
        """How long a lane worked."""
        return sum(end - start for piece, (start, end) in self.spans.items() if piece.lane is lane)

    @property
    def exposed(self) -> Number:
        """Share of the communication by which the pair lasts longer than its computation alone."""
        return (self.length - self.busy(Lane.COMPUTE)) / self.busy(Lane.NETWORK)


def run_pair(order: Order, costs: PieceTimes) -> PairRun:
    """Run each lane's pieces in its order, each as soon as what it waits for has ended.

    Raises `InputError` for an order that lacks a piece, has one twice, or stops in a ring.

    >>> run = run_pair(published_order(4), LaneCosts())
    >>> run.length, run.busy(Lane.COMPUTE), run.busy(Lane.NETWORK)
    (24, 24, 16)
    """
    wanted = _check_complete(order)
    spans: dict[Piece, tuple[Number, Number]] = {}
    queues = {lane: list(order[lane]) for lane in Lane}
    free: dict[Lane, Number] = dict.fromkeys(Lane, 0)
    while any(queues.values()):
        ready = [
            queue[0]
            for queue in queues.values()
            if queue and (wanted[queue[0]] is None or wanted[queue[0]] in spans)
        ]
        if not ready:
            heads = " and ".join(str(queue[0]) for queue in queues.values() if queue)
            raise InputError("the lanes of a pair must not wait for each other in a ring", heads)
        for piece in ready:
            before = wanted[piece]
            start = max(free[piece.lane], spans[before][1] if before else 0)
            free[piece.lane] = start + costs.of(piece)
            spans[piece] = (start, free[piece.lane])
            queues[piece.lane].pop(0)
    return PairRun(spans)


def _check_complete(order: Order) -> dict[Piece, Piece | None]:
    """What each piece waits for, if the order has each piece of its layers once, on its lane."""
    given = [piece for lane in Lane for piece in order.get(lane, ())]
    layers = 1 + max((piece.layer for piece in given), default=0)
    wanted = needs(layers)
    missing = [piece for piece in wanted if piece not in given]
    if missing:
        raise InputError(f"a pair of {layers} layers runs every piece once", f"no {missing[0]}")
    for lane in Lane:
        for place, piece in enumerate(order[lane]):
            if piece not in wanted or piece.lane is not lane or piece in order[lane][:place]:
                raise InputError(
                    f"a pair of {layers} layers runs every piece once, on its lane",
                    f"{piece} as number {place} of {lane}",
                )
    return wanted


def published_order(layers: int) -> dict[Lane, list[Piece]]:
    """The order of the report's figure 4, from layer to layer: each all-to-all lies beside the other chunk's computation.

    Computation: attention F, MLP I and W, MLP F, attention I and W; communication: combine I, dispatch F, dispatch I, combine F.

    >>> [f"{piece.part}({piece.kind})" for piece in published_order(1)[Lane.NETWORK]]
    ['combine(I)', 'dispatch(F)', 'dispatch(I)', 'combine(F)']
    """
    require_int("layers", layers, 1)
    order: dict[Lane, list[Piece]] = {lane: [] for lane in Lane}
    for layer in range(layers):
        other = layers - 1 - layer
        order[Lane.COMPUTE] += [
            Piece(Part.ATTENTION, OpKind.F, layer),
            Piece(Part.MLP, OpKind.I, other),
            Piece(Part.MLP, OpKind.W, other),
            Piece(Part.MLP, OpKind.F, layer),
            Piece(Part.ATTENTION, OpKind.I, other),
            Piece(Part.ATTENTION, OpKind.W, other),
        ]
        order[Lane.NETWORK] += [
            Piece(Part.COMBINE, OpKind.I, other),
            Piece(Part.DISPATCH, OpKind.F, layer),
            Piece(Part.DISPATCH, OpKind.I, other),
            Piece(Part.COMBINE, OpKind.F, layer),
        ]
    return order
