"""What all ranks noted becomes one timeline, which is written, read, drawn and judged like a simulated one."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.plot.trace import trace_events
from dualpipe_ref.runtime.clocks import Offset
from dualpipe_ref.runtime.recorded import RecordedRun, read_run, write_run
from dualpipe_ref.runtime.trace import Noted, bubble, merged
from dualpipe_ref.schedule import InputError
from dualpipe_ref.schedule.violations import VerificationError
from dualpipe_ref.simulate import Costs, Timeline, simulate
from tests.ranks import run_ranks

WORKER = "tests.test_runtime.recorded_worker"
MILLISECOND = 10**6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps of DualPipe on two timed ranks, whose clocks are 7 s apart."""
    folder = tmp_path_factory.mktemp("run")
    for one in run_ranks(WORKER, 2, 2, folder, "timed", "dualpipe", 4, 3):
        assert one.returncode == 0, one.stderr[-2000:]
        assert json.loads(one.stdout.splitlines()[-1])["recording"] < 0.02
    return folder / "run.json"


def test_times_of_all_ranks_are_those_of_one_clock(path: Path) -> None:
    run = read_run(path)
    assert len(run.steps) == 3
    assert run.settings == {"device": "timed"}
    error = max(run.clock_errors)
    for step, timeline in zip(run.steps, run.timelines(), strict=True):
        assert (timeline.source, timeline.unit) == ("recorded", "ns")
        assert min(starts[0] for starts in timeline.starts) == 0
        assert len(step.passages) == len(simulate(run.schedule).transfers)
        for one in step.passages:
            made = next(
                end
                for op, _, end in timeline.spans[one.message.source]
                if makes(run, op, one.message)
            )
            assert made <= one.sent + error
            assert one.sent <= one.here
        assert 0 < bubble(timeline) < 1


def makes(run: RecordedRun, op: Any, message: Any) -> bool:
    chunk = op.forward if message.payload == "activation" else op.backward
    homes = run.schedule.placement.homes[message.source]
    return bool(
        chunk
        and op.kind != "W"
        and homes[chunk.slot] == (message.direction, message.stage)
        and chunk.microbatch == message.microbatch
    )


def test_a_recorded_timeline_is_drawn_and_traced_as_a_simulated_one(path: Path) -> None:
    run = read_run(path)
    timeline = run.timelines()[0]
    kinds = {event["ph"] for event in trace_events(timeline)["traceEvents"]}
    assert kinds == {event["ph"] for event in trace_events(simulate(run.schedule))["traceEvents"]}
    slices = [event for event in trace_events(timeline)["traceEvents"] if event["ph"] == "X"]
    last = max(event["ts"] + event["dur"] for event in slices)
    assert last == pytest.approx(float(timeline.makespan) / 1000)
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib")
    from dualpipe_ref.plot import draw_timeline

    assert draw_timeline(timeline).axes


def test_a_file_holds_the_run(path: Path, tmp_path: Path) -> None:
    run = read_run(path)
    write_run(run, tmp_path / "again.json")
    assert read_run(tmp_path / "again.json") == run
    assert list(tmp_path.iterdir()) == [tmp_path / "again.json"]
    with pytest.raises(InputError, match="settings of a run are plain JSON"):
        write_run(
            RecordedRun(run.schedule, run.steps, {"x": float("nan")}), tmp_path / "again.json"
        )
    assert read_run(tmp_path / "again.json") == run


def test_ranks_that_noted_by_other_clocks_are_merged() -> None:
    """Exact: a simulated step, noted by clocks that are 5 and -3 ms off."""
    timeline = simulated()
    skews = [5 * MILLISECOND, -3 * MILLISECOND]
    noted = []
    for rank, skew in enumerate(skews):
        ops = [(op, int(start) + skew, int(end) + skew) for op, start, end in timeline.spans[rank]]
        sends = [
            (t.message, int(t.sent) + skew) for t in timeline.transfers if t.message.source == rank
        ]
        receives = [
            (t.message, int(t.end) + skew - 1, int(t.end) + skew)
            for t in timeline.transfers
            if t.message.destination == rank
        ]
        noted.append(Noted(ops, sends, receives, 0))
    step = merged(noted, [Offset(skew, 0) for skew in skews])
    again = step.timeline(timeline.schedule)
    assert (again.starts, again.ends) == (timeline.starts, timeline.ends)
    assert set(again.transfers) == set(timeline.transfers)


def simulated() -> Timeline:
    from dualpipe_ref.schedule import build

    return simulate(build("1f1b", 2, 3), Costs(F=MILLISECOND, I=MILLISECOND, W=MILLISECOND))


def swap(data: dict[str, Any]) -> None:
    row = data["steps"][1]["ops"][1]
    row[3], row[4] = row[4], row[3]


def test_two_swapped_ops_are_named(path: Path, tmp_path: Path) -> None:
    """The planted fault of order: read as it is, and refused when it is judged."""
    data = json.loads(path.read_text())
    names = data["steps"][1]["ops"][1][3:5]
    swap(data)
    (tmp_path / "run.json").write_text(json.dumps(data))
    run = read_run(tmp_path / "run.json")
    found = f"rank 1 at {names[1]} (op 3): in step 1 the schedule has {names[0]} here"
    with pytest.raises(VerificationError, match=re.escape(found)):
        run.timelines()


Change = Callable[[dict[str, Any]], object]
NONSENSE: dict[str, Change] = {
    "format": lambda data: data.update(format="another"),
    "unit": lambda data: data.update(unit="s"),
    "settings": lambda data: data.update(settings=[]),
    "clock_errors are": lambda data: data.update(clock_errors=["x"]),
    "steps is a list": lambda data: data.update(steps=None),
    "a step is one": lambda data: data["steps"].append(7),
    "one list a rank": lambda data: data["steps"][0]["ops"].pop(),
    "ops of its schedule": lambda data: data["steps"][0]["ops"][0].__setitem__(0, "F9.9"),
    "a start and an end": lambda data: data["steps"][0]["ends"][0].pop(),
    "never go back": lambda data: data["steps"][0]["ends"][0].reverse(),
    "whole ns": lambda data: data["steps"][0]["ends"][0].__setitem__(0, 1.5),
    "first op's start": lambda data: data["steps"][0].update(
        starts=[[1, *row[1:]] for row in data["steps"][0]["starts"]]
    ),
    "every message": lambda data: data["steps"][0]["messages"].pop(),
    "one of its schedule's": lambda data: data["steps"][0]["messages"][0].__setitem__(2, 99),
    "a message is": lambda data: data["steps"][0]["messages"][0].__setitem__(6, -1 << 60),
    "P, m and ops": lambda data: data.update(schedule={}),
}


@pytest.mark.parametrize("rule", NONSENSE)
def test_nonsense_is_refused(rule: str, path: Path, tmp_path: Path) -> None:
    data = copy.deepcopy(json.loads(path.read_text()))
    NONSENSE[rule](data)
    (tmp_path / "run.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=rule):
        read_run(tmp_path / "run.json")


@pytest.mark.parametrize("text", ["", "[]", '{"a": NaN}', "7", "[" * 100_000])
def test_what_is_no_run_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="a file of a recorded run"):
        read_run(tmp_path / "run.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be readable"):
        read_run(tmp_path / "none.json")
