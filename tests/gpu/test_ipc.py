"""Processes on one GPU that reach one another by CUDA IPC: every bit as the oracle has it; one that is missing is named.

With MPS they run at the same time. Without it the GPU gives each its turn, and a kernel that waits for another's moves on by
whole turns: so few tokens then. Faults are tried without MPS: NVIDIA says that a client which is killed while it computes may
take the server and all other clients along.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.gpu.conftest import IS_EMULATED
from tests.gpu.mps import NoMps, mps
from tests.multinode.worker_kernels import KILLED
from tests.ranks import run_ranks

WORKER = "tests.gpu.ipc_rank"
SECONDS = 240
# In a rehearsal the naive version stands for the kernels: what runs then is all but those.
VERSIONS = ["naive"] if IS_EMULATED else ["direct", "queues"]
SMALL = ["--tokens", 16, "--hidden", 64, "--num-sms", 2, "--rounds", 1]
LARGE = ["--tokens", 512, "--hidden", 7168, "--rounds", 5]


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, str]]:
    """MPS, or a skip that says why there is none."""
    try:
        with mps() as own:
            yield own
    except NoMps as error:
        pytest.skip(str(error))


def records(folder: Path, ranks: int, version: str, *more: object) -> list[dict[str, Any]]:
    """What the ranks printed; they have ended when this comes back, whatever happened."""
    ended = run_ranks(
        WORKER, ranks, ranks, folder / f"store-{version}-{ranks}", version, *more, seconds=SECONDS
    )
    killed = ranks - 1 if any(word in ("killed", KILLED) for word in more) else None
    found = []
    for rank, one in enumerate(ended):
        wanted = -9 if rank == killed else 0
        assert one.returncode == wanted, (
            f"rank {rank}, status {one.returncode}: {one.stdout}{one.stderr[-3000:]}"
        )
        found += [json.loads(line) for line in one.stdout.splitlines() if line.startswith("{")]
    return found


def is_usable() -> None:
    """This process computes on the GPU, after what others did there."""
    if not IS_EMULATED:
        assert float(torch.ones(1 << 20, device="cuda").sum()) == 1 << 20


@pytest.mark.parametrize(("ranks", "nodes"), [(2, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_bit_by_turns(version: str, ranks: int, nodes: int, tmp_path: Path) -> None:
    found = records(tmp_path, ranks, version, "--nodes", nodes, *SMALL)
    assert sorted(one["rank"] for one in found) == list(range(ranks))
    assert {one["nodes"] for one in found} == {nodes}
    is_usable()


@pytest.mark.parametrize(("ranks", "nodes"), [(2, 1), (4, 2)])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_bit_at_the_same_time(
    version: str,
    ranks: int,
    nodes: int,
    tmp_path: Path,
    shared: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    assert os.environ["CUDA_MPS_PIPE_DIRECTORY"]
    for dtype in ("bfloat16", "float32"):
        folder = tmp_path / dtype
        folder.mkdir()
        found = records(folder, ranks, version, "--nodes", nodes, "--dtype", dtype, *LARGE)
        assert len(found) == ranks
        print(json.dumps(found[0]))


@pytest.mark.parametrize("fault", ["absent", "killed", KILLED])
@pytest.mark.parametrize(("ranks", "nodes"), [(2, 2), (4, 2)])
@pytest.mark.parametrize("version", VERSIONS)
def test_one_that_is_missing_is_named_and_the_others_go_on(
    version: str, ranks: int, nodes: int, fault: str, tmp_path: Path
) -> None:
    """Each that is left says so itself, in time, and has exchanged with the others that are left since."""
    if IS_EMULATED and fault == KILLED:
        pytest.skip("no kernels here in which a process could be killed")
    more = ("--nodes", nodes, "--fault", fault, "--seconds", 3)
    found = records(tmp_path, ranks, version, *more, *SMALL)
    said = {one["rank"]: one["said"] for one in found if "said" in one}
    assert sorted(said) == list(range(ranks - 1))
    assert all(re.search(rf"no word of rank (\d, )*{ranks - 1}$", one) for one in said.values())
    is_usable()
    # New processes, too.
    assert len(records(tmp_path, ranks - 1, version, *SMALL)) == ranks - 1
