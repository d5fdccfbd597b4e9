"""The op lists that torch.distributed.pipelining makes, in the words of this project."""

from __future__ import annotations

from typing import Any

import pytest

from dualpipe_ref.schedule import Chunk, Op, OpKind

Orders = tuple[tuple[Op, ...], ...]


def torch_schedules() -> Any:
    """The module, or a failure that says how to get it: a skip would hide that nothing was compared."""
    try:
        from torch.distributed.pipelining import schedules
    except ImportError as error:
        pytest.fail(f"these tests compare with torch ({error}): pip install -e '.[train]'")
    return schedules


def torch_order(name: str, ranks: int, microbatches: int, slots: int) -> Orders:
    """`pipeline_order` of torch's schedule class, idle slots left out, for all ranks.

    The class is told of stages without a model, and not to add communication: only the order is wanted.
    """
    schedules = torch_schedules()

    class OrderOnly(getattr(schedules, name)):
        def _prepare_schedule_with_comms(self, *_: Any, **__: Any) -> None:
            pass

    stages = [_order_only_stage(ranks, ranks * slots, rank) for rank in range(slots)]
    order = OrderOnly(stages, microbatches, loss_fn=lambda *_: None).pipeline_order
    is_v = name != "ScheduleInterleaved1F1B"
    return tuple(
        tuple(_op(action, ranks, is_v) for action in order[rank] if action is not None)
        for rank in range(ranks)
    )


def _order_only_stage(ranks: int, stages: int, index: int) -> Any:
    from torch.distributed.pipelining.stage import _PipelineStageBase

    class Stage(_PipelineStageBase):
        def __init__(self) -> None:
            self.group_size, self.num_stages, self.group_rank = ranks, stages, 0
            self.stage_index, self.has_backward, self.submod = index, True, None

    # Its abstract methods prepare buffers for a run, which never comes.
    Stage.__abstractmethods__ = frozenset()
    return Stage()


def _op(action: Any, ranks: int, is_v: bool) -> Op:
    kind = OpKind("FB" if action.sub_actions else action.computation_type.value)
    if action.sub_actions:
        forward, backward = action.sub_actions
        return Op(kind, _chunk(forward, ranks, is_v), _chunk(backward, ranks, is_v))
    chunk = _chunk(action, ranks, is_v)
    return Op(kind, chunk) if kind is OpKind.F else Op(kind, None, chunk)


def _chunk(action: Any, ranks: int, is_v: bool) -> Chunk:
    """Both placements fill slot 0 with the first P stages; interleaved goes round, a V has two slots."""
    slot = action.stage_index // ranks
    assert not is_v or slot < 2
    return Chunk(slot, action.microbatch_index)
