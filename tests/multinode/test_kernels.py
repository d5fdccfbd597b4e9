"""The kernels between processes as torchrun starts them: on this machine's GPUs, or, without, what the worker does and says.

No kernel of ours has run between processes yet: where GPUs are, the first test does that, and `slurm.sh` on a cluster.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from dualpipe_ref.comm.connect import connected
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.gpu import Lacking, require_gpu
from tests.multinode import worker_kernels
from tests.multinode.worker_kernels import LACKS, Rank, arguments
from tests.ranks import run_ranks
from tests.test_project.files import ROOT
from tests.test_transport.traffic import KINDS

SECONDS = 300


def torchrun(processes: int, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, records in the order of ranks, and what else was said."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "0"),
            *("--nproc-per-node", str(processes), "-m", "tests.multinode.worker_kernels", *more),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return ran.returncode, sorted(lines, key=lambda one: int(one["rank"])), ran.stderr


def lacking() -> str:
    try:
        require_gpu()
    except Lacking as error:
        return str(error)
    return ""


@pytest.mark.skipif(bool(lacking()), reason=lacking())
@pytest.mark.parametrize("fault", [[], ["--fault", "absent", "--seconds", "5"]], ids=["", "absent"])
@pytest.mark.parametrize("version", ["direct", "queues"])
def test_kernels_between_the_gpus_of_this_machine(version: str, fault: list[str]) -> None:
    processes = min(8, torch.cuda.device_count())
    if processes < 2:
        pytest.skip("one GPU here: tests/gpu/test_ipc.py runs several processes on it")
    status, records, errors = torchrun(processes, version, *fault)
    assert status == 0, errors[-3000:]
    assert [one["rank"] for one in records] == list(range(processes))
    assert fault or {one["tier"] for one in records} == {"cluster"}


@pytest.mark.slow
def test_the_worker_under_torchrun() -> None:
    """All but the kernels, and one record a rank."""
    status, records, errors = torchrun(2, "naive", "--tokens", "20", "--hidden", "16")
    assert status == 0, errors[-3000:]
    assert [(one["rank"], one["tier"]) for one in records] == [(0, "CPU"), (1, "CPU")]
    assert all(one["dispatch_s"] > 0 and one["combine_s"] > 0 for one in records)


@pytest.mark.slow
@pytest.mark.skipif(not lacking(), reason="this machine lacks nothing")
def test_under_torchrun_too_it_says_what_is_missing() -> None:
    status, records, errors = torchrun(2, "queues")
    assert status == 1, "torchrun's own"
    assert f"exitcode  : {LACKS} " in errors, errors
    assert [one["lacks"] for one in records] == [lacking()] * 2


@pytest.mark.skipif(not lacking(), reason="this machine lacks nothing")
def test_what_a_machine_lacks_is_said_in_one_sentence(tmp_path: Path) -> None:
    ended = run_ranks("tests.gpu.ipc_rank", 2, 2, tmp_path / "store", "direct", seconds=SECONDS)
    for one in ended:
        assert one.returncode == LACKS, one.stderr
        (line,) = one.stdout.splitlines()
        assert json.loads(line)["lacks"] == lacking()


@pytest.mark.parametrize("fault", ["absent", "killed"])
def test_a_rank_that_is_missing_is_named_by_the_worker(fault: str, tmp_path: Path) -> None:
    ended = run_ranks(
        *("tests.gpu.ipc_rank", 3, 3, tmp_path / "store", "naive", "--tokens", 8, "--hidden", 16),
        *("--fault", fault, "--seconds", 2),
        seconds=SECONDS,
    )
    for one in ended[:2]:
        assert one.returncode == 0, one.stderr
        (line,) = one.stdout.splitlines()
        assert "for arrival of rank 2" in json.loads(line)["said"]
    assert ended[2].returncode == {"absent": 0, "killed": -9}[fault]


@pytest.fixture
def alone() -> Iterator[Rank]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    given = arguments(["naive", "--tokens", "8", "--hidden", "16"])
    yield Rank(given, None, Topology(1, 1))
    dist.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels run on the GPU here")
@pytest.mark.parametrize("version", ["direct", "queues"])
def test_the_worker_with_emulated_kernels(
    version: str, alone: Rank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a process does between `connected` and the oracle, for one rank, whose kernels run in the emulator."""
    topology = Topology(1, 1)

    def emulated(*given: Any, **more: Any) -> Any:
        return connected(*given, **more, transport=Emulated(topology))

    monkeypatch.setattr(worker_kernels, "connected", emulated)
    words = [version, "--tokens", "8", "--hidden", "16", "--num-sms", "2"]
    here = Rank(arguments(words), None, topology)
    for seed in range(len(KINDS)):
        assert min(here.exchange(seed).values()) > 0


@pytest.mark.parametrize("field", ["tokens", "experts", "source"])
def test_a_difference_is_seen(field: str, alone: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault is in the oracle, whose bits the worker wants."""
    alone.exchange(0)
    right = worker_kernels.oracle

    def wrong(traffic: Any) -> Any:
        (one,) = right(traffic)
        part = getattr(one, field).clone()
        part[-1, -1] += 1
        return [one._replace(**{field: part})]

    monkeypatch.setattr(worker_kernels, "oracle", wrong)
    with pytest.raises(AssertionError, match=f"rank 0: {field} differ"):
        alone.exchange(0)


def test_sums_that_differ_are_seen(alone: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    right = worker_kernels.sums
    monkeypatch.setattr(worker_kernels, "sums", lambda *given: [-one for one in right(*given)])
    with pytest.raises(AssertionError, match="rank 0: sums differ"):
        alone.exchange(0)


def test_a_fault_that_nobody_misses_fails(alone: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_kernels, "Rank", lambda *given: alone)
    monkeypatch.setattr(worker_kernels, "leave", lambda *given: None)
    alone.rank = -1
    monkeypatch.setattr(alone, "exchange", lambda seed: None)
    with pytest.raises(AssertionError, match="missed nobody"):
        worker_kernels.faulty(arguments(["naive", "--fault", "absent"]), Topology(1, 1))
