"""Which layers each stage holds, and the times of its layers, alone and beside other computation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.layer import Compute, LayerTimes
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.stage import COMPUTING, StageTimes, taxed, uncovered
from dualpipe_ref.simulate.cluster.work import F, I, W
from dualpipe_ref.simulate.lanes import Part


class Layout:
    """A plan's model cut into stages; layers of one kind are made once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = plan.clock
        self.exchange = plan.exchange
        self.layer = lru_cache(maxsize=None)(self._layer)
        self.last = plan.placement.stages - 1

    @cached_property
    def slower(self) -> tuple[int, int]:
        """All SMs over those that computation keeps in a pair."""
        return self.plan.device.sms, self.plan.device.sms - self.plan.reserved

    @cached_property
    def layers(self) -> list[list[int]]:
        """The layers of each stage."""
        split = self.plan.split
        counts = list(split) if split is not None else shared_out(self)
        if len(counts) != self.last + 1 or sum(counts) != self.plan.shape.layers:
            raise InputError(
                f"a split has {self.last + 1} numbers that add up to {self.plan.shape.layers} layers",
                f"{len(counts)} numbers, together {sum(counts)}",
                str(shared_out(self)),
            )
        starts = [sum(counts[:stage]) for stage in range(self.last + 2)]
        return [list(range(starts[stage], starts[stage + 1])) for stage in range(self.last + 1)]

    @property
    def split(self) -> tuple[int, ...]:
        """How many layers each stage has."""
        return tuple(map(len, self.layers))

    def times(self) -> StageTimes:
        """Of every stage."""
        alone, beside = (
            [self.stage(number, layers, is_beside) for number, layers in enumerate(self.layers)]
            for is_beside in (False, True)
        )
        return StageTimes(alone, beside, self.slower, self.plan.transport.fused)

    def stage(self, number: int, layers: Sequence[int], is_beside: bool) -> list[LayerTimes]:
        """Layers; before them the embedding on the first stage, after them head and multi-token prediction on the last."""
        shape = self.plan.shape
        found = [self.layer(layer < shape.dense_layers, is_beside) for layer in layers]
        if number == 0:
            found.insert(0, self._slowed(self.clock.embedding, is_beside))
        if number < self.last:
            return found
        head = self._slowed(self.clock.head, is_beside)
        found.append(head)
        if self.plan.predicting:
            for _ in range(shape.predicting_layers):
                found += [self._joined(self.layer(False, is_beside)), head]
        return found

    def _layer(self, is_dense: bool, is_beside: bool) -> LayerTimes:
        compute = {
            (part, kind): self.clock.compute(part, kind, is_dense)
            for part in COMPUTING
            for kind in (F, I, W)
        }
        if is_dense or self.exchange is None:
            return self._slowed(LayerTimes(compute), is_beside)
        dispatch = self.exchange.dispatch(beside=is_beside)
        combine = self.exchange.combine(beside=is_beside)
        # Gradients go to the experts as tokens do, in few bytes, and come back as results do (V3 report, section 3.3.3).
        return self._slowed(LayerTimes(compute, dispatch, combine, combine, dispatch), is_beside)

    def _slowed(self, layer: LayerTimes, is_beside: bool) -> LayerTimes:
        kernels = self.plan.kernels
        factor = kernels["computation"] * (kernels["computation_beside"] if is_beside else 1)
        if factor == 1:
            return layer
        return layer._replace(
            compute={key: _times(one, factor) for key, one in layer.compute.items()}
        )

    def _joined(self, layer: LayerTimes) -> LayerTimes:
        """With the product of two hidden vectors before attention."""
        joining = self.clock.joining()
        compute = dict(layer.compute)
        for kind in (F, I, W):
            key = (Part.ATTENTION, OpKind(kind))
            compute[key] = compute[key].plus(joining)
        return layer._replace(compute=compute)

    def load(self, layer: LayerTimes) -> int:
        """What a layer costs its rank in the middle of a step: in pairs its computation on fewer SMs, else all of it."""
        total = sum(taxed(one, self.slower) for one in layer.compute.values())
        if self.plan.has_pairs:
            return total
        fused = self.plan.transport.fused
        return total + sum(uncovered(layer, kind, fused) for kind in (F, I))


def _times(compute: Compute, factor: float) -> Compute:
    return compute._replace(work=round(compute.work * factor), again=round(compute.again * factor))


def shared_out(layout: Layout) -> list[int]:
    """How many layers each stage gets, so that the busiest rank has as little as can be; a rank's stages count together. Of
    ways that are alike in this, the one with the shortest longest stage.

    From counts as even as can be one layer after another goes from the busiest rank to another one, as long as that helps.
    The last stage, with the head, may be without a layer, and so may the first, with the embedding.

    >>> shared_out(Layout(Plan()))
    [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0]
    """
    layers, stages = layout.plan.shape.layers, layout.last + 1
    least, more = divmod(layers, stages)
    counts = [least + (stage < more) for stage in range(stages)]
    if least == 0:  # too few for all: the ends go without
        counts = [int(layers >= stages - 1)] + [1] * (stages - 2) + [0]
    best, of_stages = _loads(layout, counts)
    while True:
        moves = [
            moved
            for give in _stages_of(layout, best.index(max(best)))
            for take in range(stages)
            if (moved := _moved(counts, give, take))
        ]
        found = min(((*map(_highest, _loads(layout, one)), one) for one in moves), default=None)
        if found is None or found[:2] >= (_highest(best), _highest(of_stages)):
            return counts
        counts = found[2]
        best, of_stages = _loads(layout, counts)


def _highest(loads: list[int]) -> list[int]:
    return sorted(loads, reverse=True)


def _stages_of(layout: Layout, rank: int) -> set[int]:
    return {stage for _, stage in layout.plan.placement.homes[rank]}


def _moved(counts: list[int], give: int, take: int) -> list[int] | None:
    """One layer from stage to stage, if that leaves layers where there must be one."""
    least = 0 if give in (0, len(counts) - 1) else 1
    if give == take or counts[give] <= least:
        return None
    moved = list(counts)
    moved[give] -= 1
    moved[take] += 1
    return moved


def _loads(layout: Layout, counts: list[int]) -> tuple[list[int], list[int]]:
    """Of each rank, and of each stage."""
    shape, start, of_stage = layout.plan.shape, 0, []
    there = {layer < shape.dense_layers for layer in (0, shape.layers - 1)}
    beside = layout.plan.has_pairs
    kinds = {dense: layout.load(layout.layer(dense, beside)) for dense in there}
    for stage, count in enumerate(counts):
        dense = max(0, min(shape.dense_layers, start + count) - start)
        total = dense * kinds.get(True, 0) + (count - dense) * kinds.get(False, 0)
        ends = layout.stage(stage, (), beside) if stage in (0, layout.last) else []
        of_stage.append(total + sum(map(layout.load, ends)))
        start += count
    of_rank = [
        sum(of_stage[stage] for stage in _stages_of(layout, rank))
        for rank in range(layout.plan.pipeline)
    ]
    return of_rank, of_stage
