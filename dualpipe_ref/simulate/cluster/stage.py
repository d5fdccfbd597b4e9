"""From layers to the ops of a schedule: F, I, W, B of each stage and FB of each pair of stages, derived and not given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dualpipe_ref.schedule.ir import Op, OpKind, Placement, Schedule
from dualpipe_ref.simulate.cluster.layer import Compute, LayerTimes
from dualpipe_ref.simulate.cluster.work import F, I, W
from dualpipe_ref.simulate.costs import OpTimes
from dualpipe_ref.simulate.lane_search import lower_bound
from dualpipe_ref.simulate.lanes import Lane, Part, Piece, published_order, run_pair

COMPUTING = (Part.ATTENTION, Part.MLP)
EXCHANGING = (Part.DISPATCH, Part.COMBINE)
NOTHING = LayerTimes({(part, kind): Compute() for part in COMPUTING for kind in (F, I, W)})


class OpParts(NamedTuple):
    """What the nanoseconds of one op are: they add up to its length."""

    work: int = 0
    again: int = 0
    sm_tax: int = 0
    tensor: int = 0
    exposed: int = 0
    hidden: int = 0  # all-to-all under computation: beside the length, not in it

    @property
    def length(self) -> int:
        return self.work + self.again + self.sm_tax + self.tensor + self.exposed


@dataclass(frozen=True)
class PairTimes:
    """A forward chunk of these layers beside a backward chunk of those, for `run_pair` and `lower_bound`.

    The shorter chunk has layers of no length behind its own. Computation is `slower` than on all SMs; `beside` has the layers
    as they are while both lanes are busy.
    """

    forward: Sequence[LayerTimes]
    backward: Sequence[LayerTimes]
    slower: tuple[int, int] = (1, 1)

    @property
    def layers(self) -> int:
        return max(len(self.forward), len(self.backward), 1)

    def of(self, piece: Piece) -> int:
        """Nanoseconds of a piece."""
        times = self._layer(piece)
        if piece.lane is Lane.NETWORK:
            return times.network(piece.part, piece.kind)
        return taxed(times.compute[piece.part, piece.kind], self.slower)

    def _layer(self, piece: Piece) -> LayerTimes:
        # A backward goes from the last layer to the first: what is missing comes last, at the lowest numbers.
        chunk, place = self.forward, piece.layer
        if piece.kind is not F:
            chunk, place = self.backward, piece.layer - (self.layers - len(self.backward))
        return chunk[place] if 0 <= place < len(chunk) else NOTHING


def taxed(compute: Compute, slower: tuple[int, int]) -> int:
    """Nanoseconds on fewer SMs, rounded up; waiting for other ranks stays.

    >>> taxed(Compute(112, 0, 5), (132, 112))
    137
    """
    return -(-compute.on_sms * slower[0] // slower[1]) + compute.tensor


def _sum(layers: Sequence[LayerTimes], kind: OpKind) -> Compute:
    total = Compute()
    for layer in layers:
        for part in COMPUTING:
            total = total.plus(layer.compute[part, kind])
    return total


def _network(layers: Sequence[LayerTimes], kind: OpKind) -> int:
    return sum(layer.network(part, kind) for layer in layers for part in EXCHANGING)


def uncovered(layer: LayerTimes, kind: OpKind, fused: bool = False) -> int:
    """How much of a layer's all-to-alls an op by itself waits for: all; of a fused kernel what its own MLP does not cover.

    A token that an expert has done goes home while the next ones come, so at best the longer of both remains.
    """
    if kind is W:
        return 0
    network = _network([layer], I if kind is OpKind.B else kind)
    if not fused:
        return network
    kinds = (I, W) if kind is OpKind.B else (kind,)
    return max(0, network - sum(layer.compute[Part.MLP, one].on_sms for one in kinds))


def lone(layers: Sequence[LayerTimes], kind: OpKind, fused: bool = False) -> OpParts:
    """An op without a partner: one part after another, on all SMs, each all-to-all in the open unless kernels are `fused`."""
    kinds = (I, W) if kind is OpKind.B else (kind,)
    total = Compute()
    for one in kinds:
        total = total.plus(_sum(layers, one))
    network = sum(_network(layers, one) for one in kinds if one is not W)
    exposed = sum(uncovered(layer, kind, fused) for layer in layers)
    return OpParts(total.work, total.again, 0, total.tensor, exposed, network - exposed)


def overlapped(
    forward: Sequence[LayerTimes], backward: Sequence[LayerTimes], slower: tuple[int, int]
) -> OpParts:
    """A pair in the published order of lanes, or one after the other where that is shorter.

    `forward` and `backward` are the layers as they are beside others.
    """
    times = PairTimes(forward, backward, slower)
    run = run_pair(published_order(times.layers), times)
    total = _sum(forward, F).plus(_sum(backward, I)).plus(_sum(backward, W))
    busy, network = int(run.busy(Lane.COMPUTE)), int(run.busy(Lane.NETWORK))
    exposed = int(run.length) - busy
    tax = busy - total.on_sms - total.tensor
    return OpParts(total.work, total.again, tax, total.tensor, exposed, network - exposed)


def pair_bound(
    forward: Sequence[LayerTimes], backward: Sequence[LayerTimes], slower: tuple[int, int]
) -> int:
    """No order of the pair's lanes is shorter."""
    times = PairTimes(forward, backward, slower)
    return int(lower_bound(times.layers, times))


@dataclass
class StageTimes:
    """The layers of every stage, alone and beside others, and the ops made of them.

    `slower` is all SMs over those that computation keeps in a pair; `fused` kernels hide all-to-alls in single ops, too.
    """

    alone: Sequence[Sequence[LayerTimes]]
    beside: Sequence[Sequence[LayerTimes]]
    slower: tuple[int, int] = (1, 1)
    fused: bool = False
    _known: dict[tuple[OpKind, int, int], OpParts] = field(default_factory=dict)

    def parts(self, kind: OpKind, forward: int = 0, backward: int = 0) -> OpParts:
        """One op of these stages."""
        key = kind, forward, backward
        if key not in self._known:
            found = self._parts(*key)
            # Times are positive: an op of no length gets a nanosecond.
            self._known[key] = found if found.length else found._replace(work=1)
        return self._known[key]

    def _parts(self, kind: OpKind, forward: int, backward: int) -> OpParts:
        if kind is not OpKind.FB:
            return lone(self.alone[forward if kind is F else backward], kind, self.fused)
        pair = overlapped(self.beside[forward], self.beside[backward], self.slower)
        one = lone(self.alone[forward], F, self.fused)
        other = lone(self.alone[backward], OpKind.B, self.fused)
        if one.length + other.length < pair.length:
            return OpParts(*(a + b for a, b in zip(one, other, strict=True)))
        return pair

    def of_rank(self, schedule: Schedule, rank: int) -> list[OpParts]:
        """The ops of a rank, in order."""
        return list(self._of_ops(schedule.placement, rank, schedule.ops[rank]))

    def _of_ops(self, placement: Placement, rank: int, ops: Sequence[Op]) -> Iterator[OpParts]:
        stage = [stage for _, stage in placement.homes[rank]]
        for kind, forward, backward in ops:
            yield self.parts(
                kind,
                stage[forward.slot] if forward else 0,
                stage[backward.slot] if backward else 0,
            )

    def op_times(self, schedule: Schedule, scales: Sequence[float] | None = None) -> OpTimes:
        """For `simulate`: whole nanoseconds of each op; `scales[rank]` makes a rank slower."""
        return OpTimes(
            tuple(
                tuple(
                    part.length if scales is None else round(part.length * scales[rank])
                    for part in self.of_rank(schedule, rank)
                )
                for rank in range(schedule.ranks)
            )
        )
