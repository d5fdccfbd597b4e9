"""`compare-trace` on runs whose costs are known, because they were simulated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dualpipe_ref.runtime.recorded import Passage, RecordedRun, RecordedStep, write_run
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate

from .command import call, refused, run

MS = 10**6
SCHEDULE = build("dualpipe", 4, 8)
COSTS = Costs(F=4 * MS, I=6 * MS, W=2 * MS, B=9 * MS, FB=10 * MS)
NETWORK = Network(latency=MS)


def recorded(timeline: Timeline) -> RecordedStep:
    """The step as a run would have it: messages are asked for when the rank is free for their op."""
    asked = {
        message: timeline.ends[rank][place - 1] if place else 0
        for rank, ops in enumerate(SCHEDULE.flat_ops)
        for place, flat in enumerate(ops)
        for message in flat[3]
    }
    index = SCHEDULE.numbering.message_index
    passages = [
        Passage(one.message, int(one.sent), int(free), max(int(free), int(one.end)))
        for one in timeline.transfers
        for free in [asked[index(one.message)]]
    ]
    return RecordedStep(SCHEDULE.ops, whole(timeline.starts), whole(timeline.ends), tuple(passages))


def whole(rows: Sequence[Sequence[object]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(str(time)) for time in row) for row in rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Six steps; the first, a warm-up, takes longer."""
    slow = recorded(simulate(SCHEDULE, Costs(F=9 * MS, FB=30 * MS, I=MS, W=MS), NETWORK))
    step = recorded(simulate(SCHEDULE, COSTS, NETWORK))
    out = tmp_path / "run.json"
    write_run(RecordedRun(SCHEDULE, (slow, *[step] * 5), {"note": "simulated"}, (0,) * 4), out)
    return out


def test_costs_and_makespan_are_found(path: Path) -> None:
    data = call("compare-trace", path, "--format", "json").data
    wanted = simulate(SCHEDULE, COSTS, NETWORK)
    assert data["costs"] == {
        name: [time * MS] * 4 for name, time in {"F": 4, "I": 6, "W": 2, "B": 9, "FB": 10}.items()
    }
    assert (data["latency"], data["left_out"], data["steps"]) == (MS, 1, 6)
    assert data["predicted"] == data["measured"] == wanted.makespan
    assert data["held_out"] == [wanted.makespan] * 2
    assert data["difference_percent"] == 0
    assert data["idle_predicted"] == data["idle_measured"] == list(wanted.idle)
    assert data["settings"] == {"note": "simulated"}


def test_the_text_says_it_in_ms(path: Path) -> None:
    out = call("compare-trace", path).out
    makespan = f"{simulate(SCHEDULE, COSTS, NETWORK).makespan / MS:.3f}"
    assert f"makespan predicted {makespan} ms, measured {makespan} ms" in out
    assert "all 6 steps keep the order" in out
    assert "+0.00 %" in out
    assert "latency 1.000 ms" in out


def test_without_torch(path: Path) -> None:
    """The file is read where nothing but Python is installed."""
    result = run("compare-trace", path, flags=("-S",))
    assert (result.status, result.err) == (0, "")
    assert result.out == call("compare-trace", path).out


def test_the_longest_waits_are_named(path: Path) -> None:
    waits = call("compare-trace", path, "--format", "json").data["longest_waits"]
    lengths = [one["wait"] for one in waits]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 0
    assert waits[0]["message"].startswith(("activation of", "gradient of"))


def test_a_trace_is_written(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    assert call("compare-trace", path, "--out-trace", out).status == 0
    assert json.loads(out.read_text())["otherData"] == {"source": "recorded", "unit": "ns"}


def test_swapped_ops_are_refused_with_their_place(path: Path) -> None:
    """The planted fault: two ops of one step in the other order."""
    data = json.loads(path.read_text())
    row = data["steps"][2]["ops"][3]
    row[5], row[6] = row[6], row[5]
    path.write_text(json.dumps(data))
    message = refused(call("compare-trace", path), status=1)
    assert f"rank 3 at {row[5]} (op 5): in step 2 the schedule has {row[6]} here" in message


def test_a_cost_that_changes_between_steps_is_seen(path: Path) -> None:
    """The planted fault: the held-out steps took longer than those that were fitted."""
    data = json.loads(path.read_text())
    data["steps"][2], data["steps"][4] = data["steps"][0], data["steps"][0]
    path.write_text(json.dumps(data))
    assert abs(call("compare-trace", path, "--format", "json").data["difference_percent"]) > 10


def test_files_that_are_no_runs_are_refused(path: Path) -> None:
    assert "must be readable" in refused(call("compare-trace", "none.json"))
    data = json.loads(path.read_text())
    data["steps"] = data["steps"][:1]
    path.write_text(json.dumps(data))
    assert "a step to learn from" in refused(call("compare-trace", path))
    path.write_text("{")
    assert "one JSON object" in refused(call("compare-trace", path))
