"""Dispatch and combine write down where and when they ran: what is written, that faults are seen, and the timeline of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.kernels import direct_combine, direct_dispatch, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.kernel_records import KernelBlock, recording
from dualpipe_ref.hopper.kernel_trace import TRACKS_OF_SM, kernel_trace, write_kernel_trace
from dualpipe_ref.hopper.measuring import Exchanged
from dualpipe_ref.hopper.on_emulator import OnEmulator
from dualpipe_ref.hopper.replay import Launch
from dualpipe_ref.hopper.reserve import GREEN, OWNED, PLAIN, reserve
from dualpipe_ref.hopper.sm_map import BOTH, COMMUNICATION, COMPUTE, NOTHING, Ran
from dualpipe_ref.schedule.errors import InputError
from tests.test_transport.planting import Fault

NAMES = {
    "direct": ["direct_dispatch.dispatch", "direct_combine.combine"],
    "queues": ["queue_dispatch.dispatch", "queue_heads.pre_pass", "queue_combine.combine"],
}


@pytest.fixture(scope="module")
def machine() -> OnEmulator:
    return OnEmulator()


@pytest.fixture(scope="module")
def of_version(machine: OnEmulator) -> Callable[[str], Exchanged]:
    made = {version: machine.exchange(version, Topology(2, 2), 2) for version in NAMES}
    return made.__getitem__


@pytest.mark.parametrize("version", NAMES)
@pytest.mark.parametrize(("way", "first"), [(GREEN, 0), ("computation's half", 20)])
def test_every_block_says_where_and_when(
    machine: OnEmulator, of_version: Any, version: str, way: str, first: int
) -> None:
    kept = of_version(version).recording()
    kept.clear()
    with reserve(machine.driver, 20, GREEN) as halves:
        half = halves.compute if first else halves.communication
        for phase, work in zip(kept.records, machine.works(kept.made, half), strict=True):
            kept.made.spoil(phase)
            work.start(half.stream)
    kept.made.check()
    ranks, blocks = 4, 1 if version == "direct" else 2
    for one in (launch for some in kept.records.values() for launch in some):
        assert [block.sm for block in one.ran()] == list(range(first, first + ranks * blocks))
        assert all(0 <= block.began < block.ended for block in one.ran())
    found = kept.kernel_blocks()
    assert [one.kernel for one in found[:: ranks * blocks]] == NAMES[version]
    wanted = [(rank, block) for rank in range(ranks) for block in range(blocks)]
    assert [one[1:3] for one in found] == wanted * len(NAMES[version])


@pytest.mark.parametrize("version", NAMES)
def test_nothing_is_written_where_nobody_asked(
    machine: OnEmulator, of_version: Any, version: str
) -> None:
    made = of_version(version)
    launches = [one for one in (*made.dispatch, *made.combine) if isinstance(one, Launch)]
    assert all(one.plan.records == 0 for one in launches)
    kept = made.recording()
    kept.clear()
    with reserve(machine.driver, 20) as halves:
        for work in machine.works(made, halves.communication):
            work.start(halves.communication.stream)
    for phase in kept.records:
        with pytest.raises(InputError, match="got -1, -1, -1 of warp 0 of block 0"):
            kept.ran(phase)


@pytest.mark.parametrize("version", NAMES)
@pytest.mark.parametrize(("way", "apart"), [(GREEN, True), (OWNED, True), (PLAIN, False)])
def test_the_map_comes_from_the_kernels_themselves(
    machine: OnEmulator, of_version: Any, version: str, way: str, apart: bool
) -> None:
    made = of_version(version)
    blocks = 4 if version == "direct" else 8
    with reserve(machine.driver, 20, way) as halves:
        maps = machine.probe_kernels(made, halves.communication, halves.compute)
    assert list(maps) == ["dispatch", "combine"]
    for found in maps.values():
        assert found.is_apart == apart
        role, other = (COMMUNICATION, BOTH) if apart else (BOTH, COMMUNICATION)
        assert (found.count(role), found.count(other)) == (blocks, 0)
        assert found.count(COMPUTE) == (112 if apart else 132 - blocks)


ELSEWHERE = Fault("the SM of another", who_ran.write_began, "ptx.smid()", "ptx.smid() + 20")
OF_ONE_WARP = Fault(
    "one warp lies", who_ran.write_began, "ptx.smid()", "ptx.smid() + cuda.threadIdx.x"
)
WITHOUT_BLOCK = Fault(
    "a block writes nothing",
    who_ran.write_began,
    "plan.records != 0",
    "plan.records != 0 and cuda.blockIdx.x != 2",
)
WITHOUT_END = Fault("no end", direct_dispatch.dispatch, "write_ended(plan)", "pass")
WITHOUT_BEGIN = Fault("no begin", direct_combine.combine, "write_began(plan)", "pass")
ONE_PLACE = Fault("all blocks in one place", who_ran.record_of, "cuda.blockIdx.x * ", "0 * ")


def test_what_a_block_wrote_that_did_not_run_there_is_seen(
    machine: OnEmulator, of_version: Any
) -> None:
    made = of_version("direct")
    with reserve(machine.driver, 20, GREEN) as halves:
        with ELSEWHERE.planted():
            kept = made.recording()
            work, _ = machine.works(kept.made, halves.communication)
            work.start(halves.communication.stream)
            assert {one.sm for one in kept.ran("dispatch")} == {20, 21, 22, 23}
        # On the stream of computation: the kernels are where the probe finds computation.
        maps = machine.probe_kernels(made, halves.compute, halves.compute)
    assert not any(found.is_apart for found in maps.values())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OF_ONE_WARP, r"a block stays on its SM; got block 0 on SMs \[0, 8"),
        (WITHOUT_BLOCK, "-1, -1, .* of warp 0 of block 2"),
        (WITHOUT_END, "its SM, its begin and its end; got 0, .*, -1 of warp 0 of block 0"),
        (WITHOUT_BEGIN, "got -1, -1, .* of warp 0 of block 0"),
        (ONE_PLACE, "got -1, -1, -1 of warp 0 of block 1"),
    ],
    ids=lambda one: one.name if isinstance(one, Fault) else "",
)
def test_records_that_are_not_whole_are_refused(
    machine: OnEmulator, of_version: Any, fault: Fault, said: str
) -> None:
    made = of_version("direct")
    with (
        reserve(machine.driver, 20, GREEN) as halves,
        fault.planted(),
        pytest.raises(InputError, match=said),
    ):
        machine.probe_kernels(made, halves.communication, halves.compute)


def test_a_kernel_without_a_place_for_records_is_named() -> None:
    class Plan:
        blocks = 1

    step = Launch(who_ran.who_ran, Plan(), 1, 4, [], None)
    with pytest.raises(InputError, match=r"has records in its plan; got who_ran\.who_ran"):
        recording([step], ranks=1, lanes=4)


times = st.integers(0, 50)
some_blocks = st.builds(
    lambda sm, began, took, block: KernelBlock("a kernel", 0, block, Ran(sm, began, began + took)),
    st.integers(0, 3),
    times,
    times,
    st.integers(0, 9),
)


@given(st.lists(some_blocks, min_size=1, max_size=20))
def test_every_block_is_a_slice_and_no_two_of_a_track_overlap(blocks: list[KernelBlock]) -> None:
    events = kernel_trace(blocks)["traceEvents"]
    tracks = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    slices = [one for one in events if one["ph"] == "X"]
    assert sorted(map(read_back, slices)) == sorted(blocks)
    first = min(one.ran.began for one in blocks)
    ends: dict[int, float] = {}
    for one in slices:
        assert tracks[one["tid"]].split(",")[0] == f"SM {one['args']['sm']}"
        assert one["ts"] == (one["args"]["began"] - first) / 1e3
        assert one["ts"] >= ends.get(one["tid"], 0) - 1e-9
        ends[one["tid"]] = one["ts"] + one["dur"]
    alone = {one.ran.sm for one in blocks}
    assert alone == {int(name.split()[1]) for name in tracks.values() if "beside" not in name}


def read_back(event: dict[str, Any]) -> KernelBlock:
    told = event["args"]
    assert event["dur"] == (told["ended"] - told["began"]) / 1e3
    ran = Ran(told["sm"], told["began"], told["ended"])
    return KernelBlock(event["name"], told["rank"], told["block"], ran)


def test_the_timeline_of_a_run_is_read_back(
    machine: OnEmulator, of_version: Any, tmp_path: Path
) -> None:
    kept = of_version("queues").recording()
    with reserve(machine.driver, 20, GREEN) as halves:
        for work in machine.works(kept.made, halves.communication):
            work.start(halves.communication.stream)
    blocks = kept.kernel_blocks()
    write_kernel_trace(blocks, tmp_path / "kernels.json", name="emulated")
    written = json.loads((tmp_path / "kernels.json").read_text())
    assert sorted(read_back(one) for one in written["traceEvents"] if one["ph"] == "X") == sorted(
        blocks
    )
    with pytest.raises(InputError, match="a timeline of kernels has a block; got none"):
        write_kernel_trace([], tmp_path / "none.json")
    assert NOTHING not in {word for one in blocks for word in one.ran}
    assert not (tmp_path / "none.json").exists()


def test_more_blocks_than_an_sm_can_have_are_refused() -> None:
    blocks = [KernelBlock("a kernel", 0, one, Ran(3, 0, 9)) for one in range(TRACKS_OF_SM)]
    assert len(kernel_trace(blocks)["traceEvents"]) == 1 + 3 * TRACKS_OF_SM
    with pytest.raises(InputError, match="so many blocks at once; got more on SM 3; nearest"):
        kernel_trace([*blocks, blocks[0]])
