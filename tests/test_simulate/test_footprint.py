"""Bytes over time against the count of chunks, and against an account kept per chunk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.simulate import Costs, Network, over_time, simulate
from dualpipe_ref.simulate.chunk_bytes import ChunkBytes
from dualpipe_ref.simulate.footprint import (
    GRADIENTS,
    MESSAGES,
    PENDING,
    StageBytes,
    footprint,
    peak_of_copies,
)

from .strategies import runs
from .test_memory import lifetimes

KEPT, WAITS = 10**6, 10**3


def stage(chunk: ChunkBytes, **options: bool) -> StageBytes:
    return StageBytes(5, 7, 11, chunk, **options)


@settings(max_examples=50)
@given(runs())
def test_chunks_times_bytes(run: tuple[Schedule, Costs, Network]) -> None:
    """With one weight for every chunk the levels are those of `over_time`."""
    timeline = simulate(*run)
    stages = [stage(ChunkBytes({"x": KEPT}, {"x": WAITS}))] * timeline.schedule.placement.stages
    found = footprint(timeline, stages)
    for rank, levels in enumerate(over_time(timeline)):
        bytes_at = {level.time: level.kinds for level in found.levels[rank]}
        for level in levels:
            kinds = bytes_at[level.time]
            assert kinds.get("x", 0) == KEPT * level.activations
            assert kinds.get(PENDING, 0) == WAITS * level.pending_weights
            lasting = timeline.schedule.placement.slots * (5 + 7 + 11)
            assert sum(kinds.values()) == lasting + kinds.get("x", 0) + kinds.get(PENDING, 0)


@settings(max_examples=50)
@given(runs(), st.data())
def test_stages_of_different_bytes(
    run: tuple[Schedule, Costs, Network], data: st.DataObject
) -> None:
    timeline = simulate(*run)
    placement = timeline.schedule.placement
    sizes = data.draw(
        st.lists(st.integers(1, 99), min_size=placement.stages, max_size=placement.stages)
    )
    found = footprint(timeline, [stage(ChunkBytes({"x": size})) for size in sizes])
    for rank in range(timeline.schedule.ranks):
        taken = _owners(timeline, rank)
        for level in found.levels[rank]:
            now = level.time
            if sum(one.time == now for one in found.levels[rank]) == 1:
                held = sum(
                    sizes[stage_of] for stage_of, begin, sent in taken if begin <= now < sent
                )
                assert level.kinds.get("x", 0) == held


def _owners(timeline, rank):  # type: ignore[no-untyped-def]
    """(stage, begin of F, end of I) of every chunk."""
    homes = timeline.schedule.placement.homes[rank]
    slots = [
        chunk.slot
        for span in timeline.spans[rank]
        for chunk in [span.op.forward]
        if chunk is not None
    ]
    lives = lifetimes(timeline, rank)
    return [
        (homes[slot][1], begin, sent) for slot, (begin, sent, _) in zip(slots, lives, strict=True)
    ]


@given(st.sampled_from(["1f1b", "zb-v", "dualpipe", "dualpipev", "interleaved"]), st.integers(1, 9))
def test_all_messages_go(kind: str, kept: int) -> None:
    chunk = ChunkBytes({"x": 1}, message=100)
    schedule = build(kind, 4, 8 if kind != "dualpipev" else 10)
    found = footprint(
        simulate(schedule), [stage(chunk)] * schedule.placement.stages, sends_kept=kept
    )
    for levels in found.levels:
        assert min(level.kinds.get(MESSAGES, 0) for level in levels) == 0
        assert levels[-1].kinds.get(MESSAGES, 0) <= 100 * kept
        assert max(level.kinds.get(MESSAGES, 0) for level in levels) <= 100 * (kept + 8)


def test_late_gradients_come_with_the_first_backward() -> None:
    schedule = build("gpipe", 2, 3)
    found = footprint(simulate(schedule), [stage(ChunkBytes({"x": 1}), late_gradients=True)] * 2)
    first = next(level for level in found.levels[1] if level.kinds.get(GRADIENTS))
    assert (first.time, first.kinds["x"]) == (6, 2)


def test_workspace_is_there_while_an_op_runs() -> None:
    chunk = ChunkBytes({"x": 1}, workspace={"F": 20, "B": 30})
    found = footprint(simulate(build("1f1b", 2, 1)), [stage(chunk)] * 2)
    assert [level.total - 23 for level in found.levels[1]] == [0, 0, 21, 1, 1, 31, 0, 0]


def test_copies_need_rows() -> None:
    stages = [stage(ChunkBytes({}))] * 4
    assert peak_of_copies(build("1f1b", 4, 4), stages, 0) == 23
    assert peak_of_copies(build("dualpipe", 4, 8), stages, 0) == 46 + 2 * 7


def test_bytes_of_too_few_stages() -> None:
    with pytest.raises(InputError, match="there are bytes of each stage"):
        footprint(simulate(build("zb-v", 2, 4)), [stage(ChunkBytes({}))] * 2)
