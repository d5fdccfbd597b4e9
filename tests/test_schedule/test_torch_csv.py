"""torch reads our CSV back as the very actions that its own schedules hold."""

from __future__ import annotations

import csv
import io

import pytest
from torch.distributed.pipelining.schedules import _Action

from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.schedule.torch_csv import to_csv

KINDS = ("gpipe", "1f1b", "interleaved", "zb-h1", "zb-v", "dualpipev")


@pytest.mark.parametrize("kind", KINDS)
def test_torch_parses_every_action(kind: str) -> None:
    schedule = build(kind, 4, 8)
    rows = list(csv.reader(io.StringIO(to_csv(schedule))))
    assert len(rows) == 4
    for rank, row in enumerate(rows):
        stages = [stage for _, stage in schedule.placement.homes[rank]]
        actions = [_Action.from_str(text) for text in row]
        assert len(actions) == len(schedule.ops[rank])
        for op, action in zip(schedule.ops[rank], actions, strict=True):
            parts = action.sub_actions or (action,)
            chunks = [chunk for chunk in (op.forward, op.backward) if chunk]
            assert [(part.stage_index, part.microbatch_index) for part in parts] == [
                (stages[chunk.slot], chunk.microbatch) for chunk in chunks
            ]


def test_two_directions_are_refused() -> None:
    with pytest.raises(InputError, match="one direction"):
        to_csv(build("dualpipe", 4, 8))
