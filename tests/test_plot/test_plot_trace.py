"""Trace files: what a viewer needs to bind every slice and arrow, checked on the JSON alone."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import Costs, InputError, Network, build, simulate
from dualpipe_ref.plot import trace_events, write_trace
from dualpipe_ref.schedule import KINDS, Batch, Chunk
from dualpipe_ref.simulate import Timeline

COST = st.fractions(Fraction(1, 4), 4, max_denominator=12)


def of_phase(trace: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def faults(trace: dict[str, Any]) -> list[str]:
    """What is wrong with a trace, by the rules of the format."""
    timed = [event for event in trace["traceEvents"] if event["ph"] != "M"]
    found = ["times go back" for a, b in pairwise(timed) if a["ts"] > b["ts"]]
    found += ["an endless time" for e in timed if not abs(e["ts"]) + e.get("dur", 0) < 1e18]
    threads = {event["tid"] for event in of_phase(trace, "M") if event["name"] == "thread_name"}
    found += [f"thread {e['tid']} has no name" for e in timed if e["tid"] not in threads]
    slices = defaultdict(list)
    for event in of_phase(trace, "X"):
        slices[event["tid"]].append(event)
    for row in slices.values():
        for one, other in pairwise(row):
            if one["ts"] + one["dur"] > other["ts"] + 1e-6:
                found.append("slices of one thread overlap")
    return found + flow_faults(trace, slices)


def flow_faults(trace: dict[str, Any], slices: dict[int, list[dict[str, Any]]]) -> list[str]:
    found = []
    begins = {event["id"]: event for event in of_phase(trace, "s")}
    ends = {event["id"]: event for event in of_phase(trace, "f")}
    if not len(begins) == len(ends) == len(of_phase(trace, "s")) == len(of_phase(trace, "f")):
        found.append("flows without their other end, or with one number")
    for number in begins.keys() & ends.keys():
        begin, end = begins[number], ends[number]
        if begin["ts"] > end["ts"]:
            found.append("a flow goes back in time")
        source, target = (enclosing(slices, event) for event in (begin, end))
        if source is None or target is None:
            found.append("a flow ends outside of every slice")
        elif not carries(begin["name"], source["args"], target["args"]):
            found.append(f"{begin['name']} from {source['name']} to {target['name']}")
        if (end.get("bp"), begin["name"]) != ("e", end["name"]):
            found.append("a flow's end does not bind to its slice")
    return found


def enclosing(
    slices: dict[int, list[dict[str, Any]]], event: dict[str, Any]
) -> dict[str, Any] | None:
    row = slices[event["tid"]]
    place = bisect_right([one["ts"] for one in row], event["ts"]) - 1
    if place < 0 or not row[place]["ts"] < event["ts"] < row[place]["ts"] + row[place]["dur"]:
        return None
    return row[place]


def carries(payload: str, source: dict[str, Any], target: dict[str, Any]) -> bool:
    """Do the two ops' args say that one makes what the other needs?"""
    half, step = ("forward", 1) if payload == "activation" else ("backward", -1)
    one, other = source.get(half, source), target.get(half, target)
    kinds = {"F", "FB"} if half == "forward" else {"I", "B", "FB"}
    return (
        {source["kind"], target["kind"]} <= kinds
        and one["stage"] + step == other["stage"]
        and (one["direction"], one["microbatch"]) == (other["direction"], other["microbatch"])
    )


def messages_of(timeline: Timeline) -> int:
    programs = timeline.schedule.programs
    ends = sum(len(e.messages) for program in programs for e in program if isinstance(e, Batch))
    return ends // 2


def dualpipe_run() -> Timeline:
    return simulate(build("dualpipe", 8, 20), Costs(FB=3), Network(latency=Fraction(1, 3)))


@given(st.sampled_from(sorted(KINDS)), COST, COST, st.sampled_from(["eager", "rendezvous"]))
def test_every_schedule_gives_a_sound_trace(
    kind: str, f: Fraction, w: Fraction, sends: str
) -> None:
    costs, network = Costs(F=f, I=1, W=w), Network(latency=1, sends=sends)  # type: ignore[arg-type]
    timeline = simulate(build(kind, 4, 8), costs, network)
    trace = trace_events(timeline)
    assert faults(trace) == []
    assert len(of_phase(trace, "s")) == messages_of(timeline) == len(timeline.transfers)
    assert len(of_phase(trace, "X")) == sum(map(len, timeline.schedule.ops))


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    timeline = dualpipe_run()
    write_trace(timeline, tmp_path / "run.json", name="a run")
    read = json.loads((tmp_path / "run.json").read_text())
    assert read == trace_events(timeline, name="a run")
    assert faults(read) == []
    assert read["traceEvents"][0]["args"] == {"name": "a run"}


def test_slices_say_what_they_are() -> None:
    trace = trace_events(simulate(build("dualpipe", 4, 8), Costs(FB=3)))
    pair = next(event for event in of_phase(trace, "X") if event["cat"] == "FB")
    assert pair["args"]["kind"] == "FB"
    assert pair["args"]["forward"].keys() == {"slot", "direction", "stage", "microbatch"}
    assert pair["dur"] == 3000


def test_counters_end_at_nothing_held_and_peak_as_published() -> None:
    rows = defaultdict(list)
    for event in of_phase(trace_events(dualpipe_run()), "C"):
        rows[event["name"]].append(event["args"]["chunks"])
    assert len(rows) == 8
    assert {max(row) for row in rows.values()} == {9}  # P + 1
    assert {row[-1] for row in rows.values()} == {0}


@pytest.mark.parametrize(("unit", "factor"), [("s", 10**6), ("ms", 1000), ("us", 1), ("", 1000)])
def test_units(unit: str, factor: int) -> None:
    run = simulate(build("gpipe", 2, 2))
    timeline = Timeline(run.schedule, run.starts, run.ends, unit=unit)
    trace = trace_events(timeline)
    assert max(e["ts"] + e["dur"] for e in of_phase(trace, "X")) == run.makespan * factor
    assert faults(trace) == []  # a run without recorded transfers has its arrows all the same


# Planted faults: the checker must see each.


def test_a_wrong_flow_is_caught() -> None:
    trace = trace_events(dualpipe_run())
    ends = of_phase(trace, "f")
    one, other = next((a, b) for a in ends for b in ends if a["tid"] != b["tid"])
    one["id"], other["id"] = other["id"], one["id"]
    assert faults(trace)


def test_a_flow_on_a_slice_s_edge_is_caught() -> None:
    trace = trace_events(dualpipe_run())
    of_phase(trace, "f")[0]["ts"] = of_phase(trace, "X")[0]["ts"]
    assert faults(trace)


def test_a_lost_end_is_caught() -> None:
    trace = trace_events(dualpipe_run())
    trace["traceEvents"].remove(of_phase(trace, "f")[3])
    assert faults(trace)


def test_overlapping_slices_are_caught() -> None:
    trace = trace_events(dualpipe_run())
    of_phase(trace, "X")[5]["dur"] += 10_000
    assert faults(trace)


def test_a_message_of_no_op_is_refused() -> None:
    run = simulate(build("1f1b", 2, 2))
    renamed = (run.schedule.ops[0][0]._replace(forward=Chunk(0, 7)), *run.schedule.ops[0][1:])
    schedule = replace(run.schedule, ops=(renamed, *run.schedule.ops[1:]))
    with pytest.raises(InputError, match="from one op to another"):
        trace_events(Timeline(schedule, run.starts, run.ends))


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run.json"
    target.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(InputError, match="no space"):
        write_trace(simulate(build("gpipe", 2, 2)), target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
    assert target.read_text() == "old"
