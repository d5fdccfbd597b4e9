"""`bench hopper` without a GPU: a whole dry run, what is made of modelled times, and what is late or fails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from dualpipe_ref.bench import hopper
from dualpipe_ref.bench.hopper import SECTIONS, run
from dualpipe_ref.bench.hopper_sections import GREEN, OWNED, PLAIN, RESERVED, Kept, Section, Task
from dualpipe_ref.bench.results import Row
from dualpipe_ref.cli import main
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.hopper.emulated_driver import A100, EmulatedDriver
from dualpipe_ref.hopper.measuring import Work
from dualpipe_ref.hopper.on_emulator import OnEmulator
from dualpipe_ref.hopper.reserve import Half, reserve
from dualpipe_ref.hopper.sm_map import SmMap, roles_of
from dualpipe_ref.hopper.torch_ways import check_torch_ways
from dualpipe_ref.plot import draw_sm_map
from dualpipe_ref.schedule.errors import InputError

MATMUL, LEAK, CONTENDED = 2.0, 0.25, 1.5
# A model of the machine has no chunks and no steps: these run once, in the dry run.
MODELLED = [one for one in SECTIONS if one.name not in ("whole step", "chunk")]
PACE = {"copy": 100.0, "dispatch": 50.0, "combine": 80.0, "torch": 5.0}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The files of one dry run, which has succeeded."""
    folder = tmp_path_factory.mktemp("hopper")
    assert hopper.main(str(folder / "hopper.json"), dry_run=True) == 0
    return {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}


def test_a_dry_run_goes_through_all_sections(written: dict[str, list[dict[str, Any]]]) -> None:
    rows = {row["bench"].partition(".")[2]: row for row in written["hopper"]}
    assert rows["reserve_20_exactly_given"]["value"] == 20
    assert rows["reserve_20_grouped_given"]["value"] == 24
    for name in (
        "copy_132_sms",
        "direct_2x2_dispatch_total",
        "queues_8x1_combine_algorithmic",
        "direct_2x4_combine_torch",
        "sweep_combine_knee",
        "step_dualpipe_2x2_float32_loss_share",
        "chunk_direct_2x1_exposed_bound",
        "chunk_queues_2x1_overlapped",
        "overlap_direct_20_sms_plain_streams_combine_exposed",
        "map_green_contexts_dispatch_both",
        "unreserved_polling_20_blocks_told",
        "unreserved_copying_32_blocks_communication",
        "overlap_queues_24_sms_owned_shared_memory_dispatch_over_longer",
        *(f"overlap_direct_{sms}_sms_green_contexts_tax_beyond" for sms in RESERVED),
    ):
        assert rows[name]["value"] > -10, name
    for row in written["hopper"]:
        assert row["tier"] == "dry run in the emulator"
        assert row["target"] is None
        assert row["not_measured"] == []
        assert row["gpu"] == "emulated H100"


def test_the_maps_say_which_sms(written: dict[str, list[dict[str, Any]]]) -> None:
    maps = written["hopper_maps"][0]["sms"]
    idle = list(range(4, 20))
    for way in (GREEN, OWNED):
        assert maps[way] == {"communication": list(range(20)), "both": [], "neither": []}
        for phase in ("dispatch", "combine"):
            mine = {"communication": [0, 1, 2, 3], "both": [], "neither": idle}
            assert maps[f"{way} {phase}"] == mine
    assert maps[f"{PLAIN} combine"]["both"] == [0, 1, 2, 3]
    # Nothing is reserved by streams alone.
    assert maps[PLAIN]["both"] == list(range(20))
    figure = draw_sm_map(roles_of(maps[GREEN], sms=132))
    assert figure.axes[1].texts[1].get_text() == "computation: 112"


class Modelled(OnEmulator):
    """Times of a model: each start adds what it would take. Exchanges run once for all tests."""

    in_a_row = 4
    made: ClassVar[dict[Any, Any]] = {}

    def exchange(self, version: str, topology: Topology, blocks: int) -> Any:
        key = (version, topology)
        if key not in self.made:
            self.made[key] = super().exchange(version, topology, blocks)
        return self.made[key]

    def works(self, made: Any, half: Half) -> tuple[Work, Work]:
        times = (
            made.dispatch_traffic.total / PACE["dispatch"],
            made.combine_traffic.total / PACE["combine"],
        )
        rooms = ((made.received, made.dispatched), (made.sums, made.combined))
        return tuple(  # type: ignore[return-value]
            Work(half, _Taking(took, room)) for took, room in zip(times, rooms, strict=True)
        )

    def torch_ways(self, made: Any, half: Half) -> tuple[Work, Work]:
        return Work(half, _Taking(PACE["torch"])), Work(half, _Taking(PACE["torch"]))

    def copy(self, half: Half, blocks: int, threads: int, size: int) -> Work:
        # Twice as slow with the wrong number of threads.
        return Work(half, _Taking(2 * size / PACE["copy"] * (2 if threads == 512 else 1)))

    def matmuls(self, half: Half, count: int) -> Work:
        return Work(half, _Taking(count * MATMUL * self.driver.gpu.sms / half.sms))

    def holder(self, half: Half, seconds: float) -> Work:
        assert half.owns_sm
        return Work(half, _Taking(seconds))

    def seconds(self, *works: Work, beside: Work | None = None, runs: int = 5) -> float:
        """The longest, and a part of all the others; what runs beside and owns no SMs makes it longer. It must last."""
        times = []
        for work in works:
            taken: list[float] = []
            work.start(taken)
            times.append(sum(taken))
        if beside is not None:
            held: list[float] = []
            beside.start(held)
            assert sum(held) > max(times)
            if not beside.half.owns_sm:
                return CONTENDED * max(times)
        return max(times) + LEAK * (sum(times) - max(times))

    def probe_kernels(self, made: Any, communication: Half, compute: Half) -> dict[str, SmMap]:
        return dict.fromkeys(("dispatch", "combine"), self.probe(communication, compute))


class _Taking:
    def __init__(self, took: float, room: Any = ()) -> None:
        self.took, self.room = took, room

    def __call__(self, taken: list[float]) -> None:
        taken.append(self.took)
        for now, first in zip(*self.room, strict=True) if self.room else ():
            now.copy_(first)


def test_rows_are_what_the_model_says() -> None:
    done = run(Modelled(), MODELLED, clock=itertools.repeat(0.0).__next__)
    assert done.failed == done.late == []
    rows = {row.bench.partition(".")[2]: row.value for row in done.rows}
    for sms in (2, 20, 132):
        assert rows[f"copy_{sms}_sms"] == pytest.approx(PACE["copy"] / 1e9)
    for version in ("direct", "queues"):
        for grid in ("2x2", "2x4", "8x1"):
            name = f"{version}_{grid}"
            assert rows[f"{name}_dispatch_total"] == pytest.approx(0.5)
            assert rows[f"{name}_combine_total"] == pytest.approx(0.8)
            assert 0 < rows[f"{name}_dispatch_algorithmic"] < 0.5
    for sms in RESERVED:
        name = f"overlap_direct_{sms}_sms_green_contexts"
        assert rows[f"{name}_tax"] == pytest.approx(132 / (132 - sms))
        assert rows[f"{name}_tax_beyond"] == pytest.approx(1)
        for phase in ("dispatch", "combine"):
            compute, alone = rows[f"{name}_{phase}_compute"], rows[f"{name}_{phase}_alone"]
            assert alone <= compute
            assert rows[f"{name}_{phase}_exposed"] == pytest.approx(LEAK)
            assert rows[f"{name}_{phase}_over_longer"] == pytest.approx(1 + LEAK * alone / compute)
        for kind in ("polling", "copying"):
            name = f"unreserved_{kind}_{sms}_blocks"
            assert rows[f"{name}_matmuls"] == pytest.approx(CONTENDED)
            assert rows[f"{name}_matmuls_beyond"] == pytest.approx(CONTENDED * (132 - sms) / 132)
            assert rows[f"{name}_communication"] == pytest.approx(CONTENDED)
            told = [f"{name}_told"] if sms == 20 else []
            assert [one for one in rows if one.startswith(name) and "told" in one] == told
            assert all(rows[one] == pytest.approx(CONTENDED * 132 / 112) for one in told)
    assert rows["matmul_waves_112_sms"] == pytest.approx(1 / 112)
    assert rows["matmuls_told"] == 0


def test_what_an_older_gpu_lacks_is_left_out_and_said() -> None:
    class Older(Modelled):
        def __init__(self) -> None:
            super().__init__()
            self.driver = EmulatedDriver(A100)

    done = run(Older(), MODELLED, clock=itertools.repeat(0.0).__next__)
    assert done.failed == []
    rows = {row.bench: row for row in done.rows}
    assert rows["hopper.has_green_contexts"].value == 0
    assert rows["hopper.has_green_contexts"].unit == "a driver for CUDA 12.2"
    assert not [name for name in rows if "green_contexts_" in name or "reserve_" in name]
    assert rows["hopper.overlap_direct_20_sms_owned_shared_memory_tax"].value == pytest.approx(
        108 / 88
    )
    ways = [OWNED, PLAIN]
    by_kernels = [f"{way} {phase}" for way in ways for phase in ("dispatch", "combine")]
    assert list(done.kept.maps) == ways + by_kernels


def section(*names: str) -> Section:
    def tasks(machine: Any, kept: Kept) -> Iterator[Task]:
        for name in names:
            yield Task(name, lambda name=name: [_row(name)])  # type: ignore[misc]

    return Section("some", 10, tasks)


def _row(name: str) -> Row:
    if name == "broken":
        raise RuntimeError("no memory")
    return Row(f"hopper.{name}", 1.0, "x")


def test_a_section_begins_nothing_when_its_time_is_over() -> None:
    ticks = iter([0, 1, 9, 10.5, 11])
    done = run(OnEmulator(), [section("a", "b", "c", "d")], clock=ticks.__next__)
    assert [row.bench for row in done.rows] == ["hopper.a", "hopper.b"]
    assert list(done.clocks) == ["some"]
    assert done.late == ["some, c: 10 s were over", "some, d: 10 s were over"]


def test_what_fails_is_kept_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(hopper, "SECTIONS", [section("a", "broken", "c")])
    assert main(["bench", "hopper", "--dry-run", "--out", str(tmp_path / "hopper.json")]) == 1
    assert "not measured: some, broken: RuntimeError: no memory" in capsys.readouterr().out
    rows = json.loads((tmp_path / "hopper.json").read_text())
    assert [row["bench"] for row in rows] == ["hopper.a", "hopper.c"]
    assert rows[0]["not_measured"] == ["some, broken: RuntimeError: no memory"]
    assert rows[0]["clocks"] == {"before": {}, "some": {}}


def test_all_sections_end_in_time() -> None:
    """One task may be under way when its section ends, and `make gpu` runs tests too: 8 minutes in all."""
    assert sum(one.seconds for one in SECTIONS) <= 420


@pytest.mark.parametrize("phase", ["dispatch", "combine"])
def test_results_that_nobody_made_again_are_seen(phase: str) -> None:
    made = OnEmulator().exchange("direct", Topology(1, 2), 2)
    made.check()
    made.spoil(phase)
    with pytest.raises(RuntimeError, match=f"direct: {phase} gave other bits"):
        made.check()
    with pytest.raises(RuntimeError, match="gives other"):
        check_torch_ways(made)


def test_blocks_that_do_not_fit_a_half_are_refused() -> None:
    """They would wait for ones that have no SM."""
    machine = OnEmulator()
    made = machine.exchange("queues", Topology(2, 2), 2)
    with reserve(machine.driver, 6) as halves:
        machine.works(made, halves.compute)
        with pytest.raises(
            InputError, match="4 ranks x 2 blocks = 8 on 6 SMs; nearest legal: 4 ranks x 1 blocks"
        ):
            machine.works(made, halves.communication)


def test_a_wait_that_gave_up_is_told() -> None:
    made = OnEmulator().exchange("queues", Topology(1, 2), 2)
    errors = made.combine[-1].tensors[1]  # type: ignore[union-attr]
    errors[:10] = torch.tensor([1, 0, 0, 1, 0, 1, 3, 2, 5, 10**10])
    with pytest.raises(RuntimeError, match=r"on rank 1 waited 10.0 s"):
        made.check()


def test_torch_finds_the_same_rows_and_sums() -> None:
    for version in ("direct", "queues"):
        check_torch_ways(OnEmulator().exchange(version, Topology(2, 2), 2))


def test_a_repeated_work_is_done_so_often() -> None:
    with reserve(EmulatedDriver(), 20) as made:
        done: list[int] = []
        Work(made.compute, lambda stream: done.append(stream)).repeated(3).start(7)
        assert done == [7, 7, 7]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_which_one_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "hopper"]) == 2
    assert "kernels run on an NVIDIA GPU" in capsys.readouterr().err


def test_only_hopper_has_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "search", "--dry-run"]) == 2
    assert "hopper has a dry run; got bench search" in capsys.readouterr().err
