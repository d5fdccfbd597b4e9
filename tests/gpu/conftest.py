"""Where the tests of this folder run: on one GPU, or, to rehearse them, in the emulator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.one_gpu import OneGpu
from dualpipe_ref.schedule.errors import InputError

HERE = Path(__file__).parent
IS_EMULATED = os.environ.get("GPU_TESTS") == "emulated"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say of each test why it cannot run here; they take the GPU for themselves."""
    mine = [item for item in items if HERE in item.path.parents]
    missing = "" if IS_EMULATED else _missing()
    for item in mine:
        item.add_marker(pytest.mark.alone)
        if missing:
            item.add_marker(pytest.mark.skip(reason=missing))


def _missing() -> str:
    try:
        gpu.require_gpu()
    except InputError as error:
        return f"no GPU here: {error.got}"
    return ""


@pytest.fixture(scope="session")
def transport_of() -> Callable[..., Any]:
    """Makes a transport for (nodes, GPUs of a node), whose last `absent` ranks never come."""

    def make(nodes: int, gpus: int, absent: int = 0) -> Any:
        topology = Topology(nodes, gpus)
        if not IS_EMULATED:
            return OneGpu(topology, absent=absent)
        gone = range(topology.ranks - absent, topology.ranks)
        return Emulated(topology, link="copying", sms_per_rank=132 // topology.ranks, absent=gone)

    return make
