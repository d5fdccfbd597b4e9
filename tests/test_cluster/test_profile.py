"""A profiler's trace: made from a run whose numbers are known, read back, and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.plot.trace import trace_events
from dualpipe_ref.plot.viewer_data import viewer_data
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster import profile
from dualpipe_ref.simulate.cluster.profile import Kernel, profile_of, read_kernels, timeline_of
from dualpipe_ref.simulate.lanes import (
    Lane,
    LaneCosts,
    PairRun,
    Part,
    Piece,
    published_order,
    run_pair,
)

NAMES = {
    (Part.DISPATCH, OpKind.F): "void deep_ep::internode::dispatch<false, 8, false, 28, 8>(...)",
    # The backward of a combine brings gradients to the experts: the layout is known.
    (Part.COMBINE, OpKind.I): "void deep_ep::internode::dispatch<false, 8, true, 28, 8>(...)",
    (Part.COMBINE, OpKind.F): "void deep_ep::internode::combine<false, 8, 25>(...)",
    (Part.DISPATCH, OpKind.I): "void deep_ep::internode::combine<false, 8, 25>(...)",
}


def trace_of(run: PairRun, offset: int = 0) -> dict[str, Any]:
    """A run of a pair as torch's profiler would write it, in microseconds."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "args": {"name": "python"}},
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": offset, "dur": 5},
    ]
    for piece, (start, end) in run.spans.items():
        there = piece.lane is Lane.NETWORK
        name = NAMES[piece.part, piece.kind] if there else f"sm90_gemm_{piece.part}_{piece.kind}"
        events.append(
            {
                "ph": "X",
                "cat": "kernel",
                "name": name,
                "ts": offset + float(start),
                "dur": float(end - start),
                "args": {"grid": [20 if there else 112, 1, 1], "stream": 7 if there else 3},
            }
        )
    return {"traceEvents": events}


def written(tmp_path: Path, data: Any) -> str:
    path = tmp_path / "train.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


COSTS = st.builds(LaneCosts, *[st.integers(1, 50)] * 4)


@settings(max_examples=40, deadline=None)
@given(layers=st.integers(1, 5), costs=COSTS, offset=st.integers(0, 10**6))
def test_a_trace_shows_the_run_that_it_was_made_of(
    tmp_path_factory: pytest.TempPathFactory, layers: int, costs: LaneCosts, offset: int
) -> None:
    run = run_pair(published_order(layers), costs)
    path = written(tmp_path_factory.mktemp("trace"), trace_of(run, offset))
    kernels = read_kernels(path)
    found = profile_of(kernels)
    assert found.wall == 1000 * run.length
    assert found.computing == 1000 * run.busy(Lane.COMPUTE)
    assert found.communicating == 1000 * run.busy(Lane.NETWORK)
    assert found.exposed == 1000 * (run.length - run.busy(Lane.COMPUTE))
    assert (found.communication_grid, found.computation_grid) == (20, 112)
    assert found.kernels["dispatch"] == (layers, 1000 * layers * costs.dispatch)
    assert found.kernels["cached dispatch"] == (layers, 1000 * layers * costs.combine)
    assert found.kernels["combine"][0] == 2 * layers
    assert found.order == ("cached dispatch", "dispatch", "combine", "combine") * layers
    timeline = timeline_of(kernels)
    assert timeline.makespan == found.wall
    assert timeline.busy == (found.computing, found.communicating)


def test_the_timeline_goes_to_the_viewer_and_to_perfetto(tmp_path: Path) -> None:
    run = run_pair(published_order(2), LaneCosts(dispatch=2, combine=2))
    timeline = timeline_of(read_kernels(written(tmp_path, trace_of(run))))
    assert timeline.source == "recorded"
    assert [span.op.kind for span in timeline.spans[1]] == [
        OpKind.I,
        OpKind.F,
        OpKind.I,
        OpKind.F,
    ] * 2
    assert len(viewer_data(timeline)["ops"]) == 2
    assert any(event["ph"] == "X" for event in trace_events(timeline)["traceEvents"])


def test_what_waits_and_counts_is_communication_but_moves_nothing() -> None:
    kernels = [
        Kernel("deep_ep::internode::notify_dispatch<false, 8>", 0, 5, 9),
        Kernel("deep_ep::internode::dispatch<false, 8, false>", 5, 10, 20),
        Kernel("gemm", 8, 12, 112),
    ]
    found = profile_of(kernels)
    assert (found.communicating, found.computing, found.both, found.exposed) == (10, 4, 2, 8)
    assert found.kernels["dispatch"] == (1, 5)
    assert found.communication_grid == 20


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "3",
        {},
        {"traceEvents": 3},
        {"traceEvents": []},
        {"traceEvents": [{"ph": "X", "cat": "kernel"}]},
        {"traceEvents": [{"ph": "X", "cat": "kernel", "ts": "x", "dur": 1}]},
        {"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1, "dur": 1, "args": {"grid": 3}}]},
    ],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, data: Any) -> None:
    with pytest.raises(InputError):
        read_kernels(written(tmp_path, data))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="can be read"):
        read_kernels("no such file.json")


def test_deepseeks_numbers_agree_with_each_other() -> None:
    told = profile.published()
    assert told["communicating_ms"] - told["both_ms"] == pytest.approx(told["exposed_ms"], abs=0.1)
    assert told["exposed_ms"] / told["communicating_ms"] == pytest.approx(
        told["exposed_share"], abs=5e-4
    )
    assert told["communicating_ms"] / told["computing_ms"] == pytest.approx(told["ratio"], abs=5e-3)
    moved = sum(one["count"] * one["mean_ms"] for one in told["kernels"].values())
    assert moved + told["other_communication_ms"] == pytest.approx(
        told["communicating_ms"], abs=0.2
    )
    assert told["communication_grid"] + told["computation_grid"] == 132


def test_the_pieces_of_the_order_are_named_as_the_trace_names_them() -> None:
    order = [NAMES[piece.part, piece.kind] for piece in published_order(1)[Lane.NETWORK]]
    found = [Kernel(name, 0, 1, 20).moves for name in order]
    assert found == profile.published()["order"]
    assert Piece(Part.COMBINE, OpKind.I, 0).lane is Lane.NETWORK
