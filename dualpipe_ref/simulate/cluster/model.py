"""The stages of a plan's model: their layers with times, alone and beside other computation."""

from __future__ import annotations

from functools import lru_cache

from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.layer import Compute, LayerTimes
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.stage import COMPUTING, StageTimes
from dualpipe_ref.simulate.cluster.work import F, I, W
from dualpipe_ref.simulate.lanes import Part


def stage_times(plan: Plan) -> StageTimes:
    """Of every stage of the plan."""
    alone, beside = (_Layers(plan, is_beside) for is_beside in (False, True))
    count = plan.placement.stages
    left = plan.device.sms - plan.reserved
    return StageTimes(
        [alone.stage(number) for number in range(count)],
        [beside.stage(number) for number in range(count)],
        (plan.device.sms, left),
    )


class _Layers:
    """Makes the layers of one plan, each kind of them once."""

    def __init__(self, plan: Plan, is_beside: bool) -> None:
        self.plan, self.is_beside = plan, is_beside
        self.clock = plan.clock
        self.layer = lru_cache(maxsize=None)(self._layer)

    def stage(self, number: int) -> list[LayerTimes]:
        """Layers, then the head and multi-token prediction on the last stage."""
        shape = self.plan.shape
        found = [self.layer(layer < shape.dense_layers) for layer in self.plan.layers[number]]
        if number < self.plan.placement.stages - 1:
            return found
        found.append(self._slowed(self.clock.head))
        if self.plan.predicting:
            for _ in range(shape.predicting_layers):
                found += [self._joined(self.layer(False)), self._slowed(self.clock.head)]
        return found

    def _layer(self, is_dense: bool) -> LayerTimes:
        compute = {
            (part, kind): self.clock.compute(part, kind, is_dense)
            for part in COMPUTING
            for kind in (F, I, W)
        }
        exchange = self.plan.exchange
        if is_dense or exchange is None:
            return self._slowed(LayerTimes(compute))
        dispatch = exchange.dispatch(beside=self.is_beside)
        combine = exchange.combine(beside=self.is_beside)
        # Gradients go to the experts as tokens do, in few bytes, and come back as results do (V3 report, section 3.3.3).
        return self._slowed(LayerTimes(compute, dispatch, combine, combine, dispatch))

    def _slowed(self, layer: LayerTimes) -> LayerTimes:
        factor = self.plan.kernels["computation_beside"] if self.is_beside else 1
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


def _times(compute: Compute, factor: float) -> Compute:
    return compute._replace(work=round(compute.work * factor), again=round(compute.again * factor))
